import type { Command } from '@commander-js/extra-typings';
import { ACCEPT_DATA_CHANGE, collect, examples, SET, threadCount } from '../commands/common-options.js';
import { FORCE } from './exchange.js';

export function addPhase(program: Command): void {
  program
    .command('phase')
    .summary('train one phase; by several processes under torchrun, srun, mpirun')
    .description(
      'Trains one phase, from its last checkpoint if it has one, in this process or, where torchrun, srun or mpirun ' +
        'started several, in all of them together: they share the micro-batches of every step (total_batch stays what ' +
        'the recipe says), a GPU each, and the run folder, which must be on a disk that all see. Under srun and ' +
        'mpirun MASTER_ADDR must name the machine of rank 0. Unlike `run`, it starts no process again: the launcher ' +
        'does (torchrun --max-restarts), or the same command. Phases that it starts from must be done.',
    )
    .argument('<recipe-or-run>', 'recipe file, or folder of a run')
    .argument(
      '<phase>',
      'PT, MT/0 ..., FT or E2E; or several modules, such as MT/0,MT/1, or MT for all, with incubation.together',
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
