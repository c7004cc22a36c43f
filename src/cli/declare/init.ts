import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addInit(program: Command): void {
  program
    .command('init')
    .summary('write a recipe for a folder of images')
    .description(
      'Looks at the images in a folder (their classes, numbers and sizes) and writes a commented recipe for them: a model that suits ' +
        'their number, and held-out evaluation images if there is no validation part. The recipe is checked as by `plan`. An existing ' +
        'file is never overwritten.',
    )
    .argument('<folder>', 'images: <class>/*, train/ and val/, tar shards, or the files of a known data set')
    .option(
      '--out <file>',
      'the recipe to write (default: the name of the folder, with .yaml, in the current folder)',
    )
    .option('--print', 'print the recipe and write nothing')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation init data/flowers', 'writes flowers.yaml'],
        ['deep-incubation init data/flowers --print', 'only shows it'],
      ),
    )
    .action(async (folder, options) => (await import('../commands/init.js')).init(folder, options));
}
