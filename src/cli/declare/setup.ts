import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addSetup(program: Command): void {
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
