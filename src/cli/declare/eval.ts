import type { Command } from '@commander-js/extra-typings';
import {
  CHECKPOINT,
  CLASSES,
  collect,
  EVAL_SPLIT,
  examples,
  positiveInteger,
  SET_OF_MODEL,
  weightsOption,
} from '../commands/common-options.js';

export function addEval(program: Command): void {
  program
    .command('eval')
    .summary('evaluate a checkpoint on a folder of images')
    .description(
      'Evaluates a model: prints its metrics and its loss. CHECKPOINT is a phase of a run (RUN/FT: its latest checkpoint), a ' +
        'checkpoint folder, or weights of the official code, DeiT, timm or Hugging Face, as a local file or on the hub ' +
        '(hf:owner/repo[/path/in/repo][@revision]; uses HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE). Our ' +
        'checkpoints contain their model settings. For others, the geometry is derived from the weights. The number ' +
        'of heads comes from a config.json in the same folder, or from the width of a published ViT; otherwise set --recipe or ' +
        '--set model.heads=N. To evaluate at another image size than the weights were trained for, --set model.image_size=N ' +
        'resizes the position embedding.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .requiredOption(
      '--data <folder>',
      'images: <class>/*, *_y<label>.png, val/, tar shards, or the files of Fashion-MNIST, CIFAR or iNaturalist',
    )
    .addOption(EVAL_SPLIT)
    .option('--classes <path>', CLASSES)
    .option('--recipe <file>', 'recipe of the model')
    .option('--set <key=value>', SET_OF_MODEL, collect)
    .option('--batch-size <n>', 'images per batch', positiveInteger, 64)
    .option(
      '--batch-mean',
      'also print the unweighted mean of the batch means, which the official code reports as its loss',
    )
    .option('--per-image <file>', 'also write the predictions for each image: a .csv or .jsonl file')
    .option('--top <k>', 'classes per image in that file', positiveInteger, 5)
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation eval runs/clothes/FT --data data/clothes', 'the latest checkpoint of a phase'],
        ['deep-incubation eval hf:owner/repo/vit_base.pth --data imagenet/val', 'a published model'],
        ['deep-incubation eval tiny.pth --data val --set model.heads=4', 'if the number of heads is unknown'],
      ),
    )
    .action(async (checkpoint, options) =>
      (await import('../commands/eval.js')).evaluateCheckpoint(checkpoint, options),
    );
}
