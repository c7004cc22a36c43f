import type { Command } from '@commander-js/extra-typings';
import {
  CHECKPOINT,
  CLASSES,
  collect,
  examples,
  positiveInteger,
  SET,
  SPLIT,
  weightsOption,
} from '../commands/common-options.js';

export function addEval(program: Command): void {
  program
    .command('eval')
    .summary('accuracy and loss of a checkpoint on a folder of images')
    .description(
      'Evaluates a model: prints its metrics and its loss. CHECKPOINT is a phase of a run (RUN/FT: its latest checkpoint), a ' +
        'checkpoint folder, or weights of the official code, DeiT, timm or Hugging Face, here or on the hub ' +
        '(hf:owner/repo[/path/in/repo][@revision]; HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are honoured). Our ' +
        'checkpoints say what model they hold; of others the geometry is read off the weights, but for the number ' +
        "of heads: told by a config.json beside them, known for the published ViT's widths, else give --recipe or " +
        '--set model.heads=N. For images of another size than the weights are made for, --set model.image_size=N ' +
        'resizes the position embedding.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .requiredOption(
      '--data <folder>',
      'images: <class>/*, *_y<label>.png, val/, tar shards, or the files of Fashion-MNIST, CIFAR or iNaturalist',
    )
    .addOption(SPLIT)
    .option('--classes <path>', CLASSES)
    .option('--recipe <file>', 'recipe the model belongs to')
    .option(
      '--set <key=value>',
      `${SET}; keys under model, data.mean, data.std, data.eval_crop, data.exif, data.grey16, run`,
      collect,
    )
    .option('--batch-size <n>', 'images at a time', positiveInteger, 64)
    .option('--batch-mean', 'also the unweighted mean of batch means, as the official code prints its loss')
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation eval runs/demo/FT --data images/val', 'the latest checkpoint of a phase'],
        ['deep-incubation eval hf:owner/repo/vit_base.pth --data imagenet/val', 'a published model'],
        ['deep-incubation eval tiny.pth --data val --set model.heads=4', 'where heads cannot be known'],
      ),
    )
    .action(async (checkpoint, options) =>
      (await import('../commands/eval.js')).evaluateCheckpoint(checkpoint, options),
    );
}
