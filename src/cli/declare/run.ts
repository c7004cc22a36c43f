import { type Command, Option } from '@commander-js/extra-typings';
import { ACCEPT_DATA_CHANGE, collect, examples, list, SET } from '../commands/common-options.js';
import { FORCE } from './exchange.js';

export function addRun(program: Command): void {
  program
    .command('run')
    .summary('train a recipe; run again, it resumes')
    .description(
      'Trains every phase of a recipe: the meta model (PT), each module in a hybrid (MT/0, MT/1 ...), the assembled ' +
        'model (FT), and the end-to-end baseline (E2E) if the recipe asks for it. Phases run in processes of their ' +
        'own. The same command run again goes on where it was stopped; what is done is not done again.',
    )
    .argument('<recipe-or-run>', 'recipe file, YAML or JSON, or folder of a run, which has its recipe')
    .option('--out <folder>', 'folder of the run (default: runs/<name of the recipe>)')
    .option('--set <key=value>', SET, collect)
    .option(
      '--only <phases>',
      'these phases alone, such as PT,MT/0,FT; MT means all modules (default: all)',
      list,
    )
    .addOption(
      new Option('--launcher <launcher>', 'who starts the phases: this command, Slurm, or Kubernetes')
        .choices(['local', 'slurm', 'kubernetes'] as const)
        .default('local' as const),
    )
    .option('--dry-run', 'print what the launcher would be given, and start nothing')
    .option('--force', FORCE)
    .option('--accept-data-change', ACCEPT_DATA_CHANGE)
    .option('--quiet', 'print the result alone, no progress')
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation run recipes/demo.yaml --out runs/a', 'train, or go on with, runs/a'],
        ['deep-incubation run my.yaml --set seed=1 --set training.batch_size=64', 'with other settings'],
        ['deep-incubation run my.yaml --only PT,MT/2', 'one part of the work, on this machine'],
        ['deep-incubation run my.yaml --launcher slurm', 'a job a phase, the modules an array'],
      ),
    )
    .action(async (recipe, options) => (await import('../commands/run.js')).run(recipe, options));
}
