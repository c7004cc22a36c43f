import { type Command, Option } from '@commander-js/extra-typings';
import { KNN_METRICS } from '../../tasks/classification/knn-metrics.js';
import {
  CHECKPOINT,
  collect,
  EVAL_SPLIT,
  examples,
  positiveInteger,
  positiveIntegers,
  positiveNumber,
  SET_OF_MODEL,
  weightsOption,
} from '../commands/common-options.js';

/** Commands that read the features of a model. */
export function addFeatures(program: Command): void {
  addExport(program);
  addProbe(program);
}

function addExport(program: Command): void {
  program
    .command('features')
    .summary('write the features of images')
    .description(
      "Writes the features of images, the input of the model's classifier, as float32 [images, features]: as .safetensors " +
        '(features, labels), or as .npy (labels in a second file). A .csv file lists the images in the same order. ' +
        'CHECKPOINT is anything that `eval` accepts, or a backbone without a classifier. An image that cannot be ' +
        'read is listed and skipped; the exit status is then 1.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('[path...]', 'images without labels: files, folders, and .csv files with a column path')
    .requiredOption('--out <file>', 'file to write: .safetensors or .npy')
    .option('--data <path>', 'images with labels, as for `eval`')
    .addOption(EVAL_SPLIT)
    .option('--recipe <file>', 'recipe of the model')
    .option('--set <key=value>', SET_OF_MODEL, collect)
    .option('--batch-size <n>', 'images per batch', positiveInteger, 64)
    .addOption(weightsOption())
    .option('--force', 'overwrite existing files')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation features runs/clothes/FT photos --out photos.npy', 'without labels'],
        [
          'deep-incubation features hf:owner/repo --data data/clothes --split train --out train.safetensors',
          'with labels',
        ],
      ),
    )
    .action(async (checkpoint, paths, options) =>
      (await import('../commands/features.js')).exportFeatures(checkpoint, paths, options),
    );
}

function addProbe(program: Command): void {
  program
    .command('probe')
    .summary('score the features of a model: nearest neighbours and a linear probe')
    .description(
      'Scores the features of a model, which is not changed, on a data set with training images: by the nearest neighbours among ' +
        'them, with the weighted vote of DINO and the plain majority, and by a logistic regression that is trained on them to ' +
        'convergence. The classes may be others than those of the model. Without --knn and --linear, both are computed.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .requiredOption('--data <path>', 'data set with training images and images for evaluation')
    .addOption(
      new Option(
        '--split <part>',
        'part to evaluate on; held-out: the training images that data.split held out (default: val)',
      ).choices(['val', 'test', 'held-out'] as const),
    )
    .option('--knn <k,...>', 'numbers of neighbours, such as 10,20,100 (default: 20)', positiveIntegers)
    .option('--temperature <t>', 'of the weighted vote', positiveNumber, 0.07)
    .addOption(
      new Option('--metric <metric>', 'distance between features; euclidean: without the weighted vote')
        .choices(KNN_METRICS)
        .default('cosine' as const),
    )
    .option('--linear', 'train a linear probe')
    .option('--c <c>', 'inverse strength of its L2 penalty, as C in scikit-learn', positiveNumber, 1)
    .option('--max-iterations <n>', 'limit for its iterations', positiveInteger, 1000)
    .option('--recipe <file>', 'recipe of the model')
    .option('--set <key=value>', SET_OF_MODEL, collect)
    .option('--batch-size <n>', 'images per batch', positiveInteger, 64)
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation probe runs/clothes/FT --data data/clothes', '20 neighbours and a linear probe'],
        ['deep-incubation probe hf:owner/repo --data data/flowers --knn 10,20', 'two numbers of neighbours'],
        [
          'deep-incubation probe hf:owner/repo --data data/flowers --linear --c 0.316',
          "as CLIP's linear probe",
        ],
      ),
    )
    .action(async (checkpoint, options) =>
      (await import('../commands/probe.js')).probeFeatures(checkpoint, options),
    );
}
