import { type Command, Option } from '@commander-js/extra-typings';
import {
  CHECKPOINT,
  CLASSES,
  collect,
  examples,
  list,
  positiveInteger,
  weightsOption,
} from '../commands/common-options.js';

export function addConvert(program: Command): void {
  program
    .command('convert')
    .summary('write a checkpoint as other programs read it')
    .description(
      'Writes the weights of a checkpoint, bit for bit, in another format: deep-incubation (safetensors, in stages), ' +
        'timm (safetensors, undivided), huggingface (a folder with config.json), torchvision (safetensors of a ResNet, ' +
        'undivided), official (.pth of the official code, in stages). Takes what `eval` takes.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('<out>', 'file to write; for huggingface a folder')
    .addOption(
      new Option('--to <format>', 'format to write')
        .choices(['deep-incubation', 'timm', 'huggingface', 'torchvision', 'official'] as const)
        .makeOptionMandatory(),
    )
    .option('--depths <numbers>', 'blocks of each stage, such as 3,3,3,3 (default: as they are)', depths)
    .option('--resize <pixels>', 'resize the position embedding for images of this size', positiveInteger)
    .option('--classes <path>', `${CLASSES} (default: the checkpoint's)`)
    .option('--recipe <file>', 'recipe the model belongs to')
    .option(
      '--set <key=value>',
      'tell what weights do not: model.heads, model.layer_norm_eps; repeatable',
      collect,
    )
    .option('--force', 'overwrite what is there')
    .addOption(weightsOption())
    .option('--json', 'print what was written as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation convert runs/demo/FT vit/ --to huggingface', 'for transformers'],
        ['deep-incubation convert vit_base.pth vit_base.safetensors --to timm', 'for timm'],
        ['deep-incubation convert vit.safetensors vit.pth --to official --depths 3,3,3,3', 'in four stages'],
      ),
    )
    .action(async (checkpoint, out, options) =>
      (await import('../commands/convert.js')).convert(checkpoint, out, options),
    );
}

function depths(value: string): number[] {
  return list(value).map(positiveInteger);
}
