import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addSetup(program: Command): void {
  program
    .command('setup')
    .summary('finds or fetches libtorch, builds the addon, fetches Fashion-MNIST')
    .description(
      'Makes an installed package or a clone ready: libtorch is found ($LIBTORCH, the torch of a Python on the PATH) ' +
        'or fetched, the addon compiled, Fashion-MNIST fetched. What is there already is used.',
    )
    .option('--only <steps>', 'some of packages,libtorch,addon,build,images')
    .option('--quiet', 'print nothing but errors')
    .addHelpText('after', examples(['deep-incubation setup --only addon', 'libtorch and the addon alone']))
    .action(async (options) => (await import('../commands/setup.js')).setup(options));
}
