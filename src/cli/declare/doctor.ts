import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addDoctor(program: Command): void {
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
