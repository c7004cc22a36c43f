import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addCancel(program: Command): void {
  program
    .command('cancel')
    .summary('stop all phases of a run')
    .description(
      'Stops the phases of a run. Phases on this machine save a checkpoint and exit. Slurm jobs of the run are ' +
        'cancelled, and save a checkpoint too. To resume, repeat the same `run` command.',
    )
    .argument('<run>', 'folder of the run')
    .addHelpText(
      'after',
      examples(['deep-incubation cancel runs/demo', 'succeeds also if nothing is running']),
    )
    .action(async (run) => (await import('../commands/cancel.js')).cancel(run));
}
