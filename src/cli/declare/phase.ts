import type { Command } from '@commander-js/extra-typings';
import { ACCEPT_DATA_CHANGE, collect, examples, SET, threadCount } from '../commands/common-options.js';
import { FORCE } from './exchange.js';

export function addPhase(program: Command): void {
  program
    .command('phase')
    .summary('train one phase; with torchrun, srun or mpirun in several processes')
    .description(
      'Trains one phase in this process, or in all processes that torchrun, srun or mpirun started; resumes from the ' +
        'last checkpoint, if there is one. The processes share the micro-batches of each step (total_batch does not ' +
        'change). Each uses its own GPU. The run folder must be on a disk that all processes share. With srun and ' +
        'mpirun, MASTER_ADDR must name the machine of rank 0. Unlike `run`, this command does not restart processes: use ' +
        'the launcher (torchrun --max-restarts), or repeat the command. Phases that it depends on must be done.',
    )
    .argument('<recipe-or-run>', 'recipe file, or folder of a run')
    .argument(
      '<phase>',
      'PT, MT/0 ..., FT or E2E; with incubation.together also several modules (MT/0,MT/1) or all (MT)',
    )
    .option('--out <folder>', 'folder of the run, for a recipe (default: runs/<name of the recipe>)')
    .option('--set <key=value>', SET, collect)
    .option('--threads <n>', "CPU threads (default: the recipe's, or this machine's share)", threadCount)
    .option('--device <device>', "auto, cpu, cuda or cuda:<n> (default: the recipe's)")
    .option('--force', FORCE)
    .option('--accept-data-change', ACCEPT_DATA_CHANGE)
    .addHelpText(
      'after',
      examples(
        ['deep-incubation phase my.yaml PT', 'alone'],
        ['torchrun --no-python --nproc-per-node 8 deep-incubation phase my.yaml PT', 'on 8 GPUs'],
        ['srun --ntasks-per-node 8 deep-incubation phase runs/my MT/0', 'with MASTER_ADDR set'],
      ),
    )
    .action(async (run, phase, options) =>
      (await import('../commands/phase.js')).runOnePhase(run, phase, options),
    );
}
