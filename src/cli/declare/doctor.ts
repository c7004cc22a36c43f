import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('what was found on this machine, and what is wrong with it')
    .description(
      'Prints what was found: Node, libtorch, devices, threads, BLAS, image decoders, images; and what to do about ' +
        'what is missing. Exits with 1 where nothing can be trained.',
    )
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples(['deep-incubation doctor', 'look at this machine']))
    .action(async (options) => (await import('../commands/doctor.js')).doctor(options));
}
