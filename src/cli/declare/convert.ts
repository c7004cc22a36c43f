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
    .summary('write a checkpoint in the format of another program')
    .description(
      'Writes the weights of a checkpoint, bit for bit, in another format: deep-incubation (safetensors, divided into stages), ' +
        'timm (safetensors, undivided), huggingface (a folder with config.json), torchvision (safetensors of a ResNet, ' +
        'undivided), official (.pth of the official code, divided into stages). Accepts the same checkpoints as `eval`.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('<out>', 'file to write; a folder for huggingface')
    .addOption(
      new Option('--to <format>', 'output format')
        .choices(['deep-incubation', 'timm', 'huggingface', 'torchvision', 'official'] as const)
        .makeOptionMandatory(),
    )
    .option('--depths <numbers>', 'blocks per stage, such as 3,3,3,3 (default: unchanged)', depths)
    .option('--resize <pixels>', 'resize the position embedding for images of this size', positiveInteger)
    .option('--classes <path>', `${CLASSES} (default: the checkpoint's)`)
    .option('--recipe <file>', 'recipe of the model')
    .option(
      '--set <key=value>',
      'set facts that the weights do not contain, such as model.heads or model.layer_norm_eps; repeatable',
      collect,
    )
    .option('--force', 'overwrite existing files')
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation convert runs/demo/FT vit/ --to huggingface', 'for transformers'],
        ['deep-incubation convert vit_base.pth vit_base.safetensors --to timm', 'for timm'],
        [
          'deep-incubation convert vit.safetensors vit.pth --to official --depths 3,3,3,3',
          'divided into four stages',
        ],
      ),
    )
    .action(async (checkpoint, out, options) =>
      (await import('../commands/convert.js')).convert(checkpoint, out, options),
    );
}

function depths(value: string): number[] {
  return list(value).map(positiveInteger);
}
