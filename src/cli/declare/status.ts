import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addStatus(program: Command): void {
  program
    .command('status')
    .summary('how every phase of a run stands')
    .description(
      'Prints for each phase whether it waits, is queued, runs, restarts, is done, failed, was stopped or lost its ' +
        'process, how far it is, and what to do where something went wrong. Reads the folder, and asks Slurm of jobs ' +
        'that it was given.',
    )
    .argument('<run>', 'folder of the run')
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation status runs/demo', 'on this machine, or one that shares the folder'],
        ['deep-incubation status runs/demo --json', 'for programs'],
      ),
    )
    .action(async (run, options) => (await import('../commands/status.js')).status(run, options));
}
