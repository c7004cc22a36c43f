import { type Command, Option } from '@commander-js/extra-typings';
import { SPLIT_CHOICES } from '../../data/splits.js';

export function addData(program: Command): void {
  program
    .command('data')
    .summary('inspect data sets')
    .command('check')
    .summary('read every image and list the problems')
    .description(
      'Decodes every image and lists the problems: unreadable images, wrong extensions, empty or unknown classes, ' +
        'duplicates, images in both train and val, tiny images, and files that are ignored. Exits with 1 ' +
        'if there is a problem.',
    )
    .argument('<folder>', 'train/ and val/, <class>/*, tar shards, CIFAR, iNaturalist or Fashion-MNIST')
    .addOption(
      new Option('--split <part>', 'read only this split; all: the folders are classes').choices(
        SPLIT_CHOICES,
      ),
    )
    .option('--json', 'print the report as JSON')
    .action(async (folder, options) =>
      (await import('../commands/data-check.js')).dataCheck(folder, options),
    );
}
