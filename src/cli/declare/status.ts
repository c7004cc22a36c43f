import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addStatus(program: Command): void {
  program
    .command('status')
    .summary('show the state of every phase of a run')
    .description(
      'Prints the state of each phase (waiting, queued, running, restarting, done, failed, stopped, or lost: its process ' +
        'disappeared), its progress, and what to do about failures. Reads only the run folder, and queries Slurm for jobs of ' +
        'the run.',
    )
    .argument('<run>', 'folder of the run')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation status runs/demo', 'on this machine, or on one that shares the folder'],
        ['deep-incubation status runs/demo --json', 'for programs'],
      ),
    )
    .action(async (run, options) => (await import('../commands/status.js')).status(run, options));
}
