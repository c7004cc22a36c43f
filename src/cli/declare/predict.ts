import { type Command, Option } from '@commander-js/extra-typings';
import {
  CHECKPOINT,
  CLASSES,
  collect,
  examples,
  positiveInteger,
  SET_OF_MODEL,
  weightsOption,
} from '../commands/common-options.js';

export function addPredict(program: Command): void {
  program
    .command('predict')
    .summary('classify images')
    .description(
      'Classifies images, which need no labels: prints the most likely classes of each with their probabilities. A folder stands ' +
        'for all images in it and below. CHECKPOINT is anything that `eval` accepts, and images are prepared as in `eval`. An image ' +
        'that cannot be read is listed and skipped; the exit status is then 1.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('<path...>', 'image files, and folders of images')
    .option('--top <k>', 'number of classes per image', positiveInteger, 5)
    .addOption(new Option('--csv', 'print a CSV table').conflicts('json'))
    .option('--json', 'print one JSON object per line')
    .option('--classes <path>', CLASSES)
    .option('--recipe <file>', 'recipe of the model')
    .option('--set <key=value>', SET_OF_MODEL, collect)
    .option('--batch-size <n>', 'images per batch', positiveInteger, 64)
    .addOption(weightsOption())
    .addHelpText(
      'after',
      examples(
        ['deep-incubation predict runs/clothes/FT photo.jpg', 'the five most likely classes'],
        ['deep-incubation predict runs/clothes/FT photos --csv > photos.csv', 'all images of a folder'],
        ['deep-incubation predict hf:owner/repo photos --top 1 --json', 'a published model'],
      ),
    )
    .action(async (checkpoint, paths, options) =>
      (await import('../commands/predict.js')).predictPaths(checkpoint, paths, options),
    );
}
