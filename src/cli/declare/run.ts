import { type Command, Option } from '@commander-js/extra-typings';
import { ACCEPT_DATA_CHANGE, collect, examples, list, SET } from '../commands/common-options.js';
import { FORCE } from './exchange.js';

export function addRun(program: Command): void {
  program
    .command('run')
    .summary('train a recipe, or resume it')
    .description(
      'Trains every phase of a recipe: the meta model (PT), each module in a hybrid (MT/0, MT/1 ...), the assembled ' +
        'model (FT), and the end-to-end baseline (E2E) if the recipe asks for it. Phases run in processes of their ' +
        'own. If the run was stopped, the same command resumes it; finished phases are not trained again.',
    )
    .argument('<recipe-or-run>', 'recipe file (YAML or JSON), or folder of a run')
    .option('--out <folder>', 'folder of the run (default: runs/<name of the recipe>)')
    .option('--set <key=value>', SET, collect)
    .option(
      '--only <phases>',
      'train only these phases, such as PT,MT/0,FT; MT means all modules (default: all)',
      list,
    )
    .addOption(
      new Option('--launcher <launcher>', 'what starts the phases: this command, Slurm, or Kubernetes')
        .choices(['local', 'slurm', 'kubernetes'] as const)
        .default('local' as const),
    )
    .option('--dry-run', 'print the job files of the launcher, and start nothing')
    .option('--force', FORCE)
    .option('--accept-data-change', ACCEPT_DATA_CHANGE)
    .option('--quiet', 'print only the result, no progress')
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation run recipes/demo.yaml --out runs/a', 'train or resume runs/a'],
        ['deep-incubation run my.yaml --set seed=1 --set training.batch_size=64', 'with other settings'],
        ['deep-incubation run my.yaml --only PT,MT/2', 'only a part, on this machine'],
        ['deep-incubation run my.yaml --launcher slurm', 'one job per phase, an array for the modules'],
      ),
    )
    .action(async (recipe, options) => (await import('../commands/run.js')).run(recipe, options));
}
