import { type Command, Option } from '@commander-js/extra-typings';
import { SPLIT_CHOICES } from '../../data/splits.js';

export function addData(program: Command): void {
  program
    .command('data')
    .summary('look after data sets')
    .command('check')
    .summary('read every image and tell what is wrong')
    .description(
      'Decodes every image and lists what is wrong: unreadable images, wrong extensions, empty or unknown classes, ' +
        'duplicates, images both in train and val, tiny images; and what is in the folder and not read. Exits with 1 ' +
        'where something is wrong.',
    )
    .argument('<folder>', 'train/ and val/, <class>/*, tar shards, CIFAR, iNaturalist or Fashion-MNIST')
    .addOption(
      new Option('--split <part>', 'read this part alone; all: the folders are classes').choices(
        SPLIT_CHOICES,
      ),
    )
    .option('--json', 'print the report as JSON')
    .action(async (folder, options) =>
      (await import('../commands/data-check.js')).dataCheck(folder, options),
    );
}
