import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addCancel(program: Command): void {
  program
    .command('cancel')
    .summary('stop a run, wherever its phases are')
    .description(
      'Stops the phases of a run: those that this machine runs save a checkpoint and leave, and the jobs that Slurm ' +
        'was given are cancelled, which do the same. The same `run` again goes on from there.',
    )
    .argument('<run>', 'folder of the run')
    .addHelpText('after', examples(['deep-incubation cancel runs/demo', 'nothing running is no failure']))
    .action(async (run) => (await import('../commands/cancel.js')).cancel(run));
}
