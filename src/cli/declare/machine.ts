import { type Command, Option } from '@commander-js/extra-typings';
import { SPLIT_CHOICES } from '../../data/splits.js';
import { examples } from '../commands/common-options.js';

/** Commands that prepare and check a machine and its images. */
export function addMachine(program: Command): void {
  addData(program);
  addDoctor(program);
  addSetup(program);
}

function addData(program: Command): void {
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
    .argument(
      '<path>',
      'a folder with train/ and val/, <class>/*, tar shards, CIFAR, iNaturalist or Fashion-MNIST, or a .csv file',
    )
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

function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('check this machine for what training needs')
    .description(
      'Prints what was found: Node, libtorch, devices, threads, BLAS, image decoders, images; and how to fix ' +
        'problems. Exits with 1 if training is not possible.',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples(['deep-incubation doctor', 'check this machine']))
    .action(async (options) => (await import('../commands/doctor.js')).doctor(options));
}

function addSetup(program: Command): void {
  program
    .command('setup')
    .summary('find or download libtorch, build the addon, download Fashion-MNIST')
    .description(
      'Prepares an installed package or a clone: finds libtorch ($LIBTORCH, or the torch of a Python on the PATH) ' +
        'or downloads it, compiles the addon, and downloads Fashion-MNIST. Skips what is already there.',
    )
    .option('--only <steps>', 'only these steps, of packages,libtorch,addon,build,images')
    .option('--quiet', 'print only errors')
    .addHelpText('after', examples(['deep-incubation setup --only addon', 'only the addon']))
    .action(async (options) => (await import('../commands/setup.js')).setup(options));
}
