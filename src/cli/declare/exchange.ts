import type { Command } from '@commander-js/extra-typings';
import { ACCEPT_DATA_CHANGE, collect, examples, positiveInteger, SET } from '../commands/common-options.js';

export const FORCE = 'assemble modules of different meta models anyway (prints and logs a warning)';

export function addExchange(program: Command): void {
  program
    .command('redo')
    .summary('retrain one phase of a run, and the phases that depend on it')
    .description(
      'Retrains one phase of a run, for example a module with another schedule, more images or more blocks, and then ' +
        'the phases that had started from it (FT after a module). The old results are moved to RUN/previous/<n>/. Settings ' +
        'of a single module are under phases.modules.<i>: all of training, and data.path, data.fraction, ' +
        'data.train_images.',
    )
    .argument('<run>', 'folder of the run')
    .argument('<phase>', 'PT, MT/0 ..., FT or E2E')
    .option('--set <key=value>', SET, collect)
    .option('--depth <blocks>', 'new number of blocks of the module', positiveInteger)
    .option('--force', FORCE)
    .option('--accept-data-change', ACCEPT_DATA_CHANGE)
    .option('--quiet', 'print only the result, no progress')
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation redo runs/x MT/1 --set phases.modules.1.epochs=200', 'longer'],
        ['deep-incubation redo runs/x MT/1 --depth 8', 'deeper'],
      ),
    )
    .action(async (run, phase, options) =>
      (await import('../commands/exchange.js')).redo(run, phase, options),
    );

  program
    .command('pack')
    .summary('pack a module, or the work to incubate one, into one file')
    .description(
      'With --for: packs the recipe and the meta model of a run, so that another machine can incubate that module; no ' +
        'images. With the folder of a finished module (RUN/MT/1): packs the module, to send it back. A bundle is a tar file ' +
        'with a hash of every file in it.',
    )
    .argument('<run-or-module>', 'folder of a run (with --for), or of one of its modules')
    .argument('<bundle>', 'file to write')
    .option('--for <module>', 'module that another machine will incubate, such as MT/1')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation pack runs/x mt1.work.tar --for MT/1', 'work for another machine'],
        ['deep-incubation pack runs/x/MT/1 mt1.module.tar', 'send the module back'],
      ),
    )
    .action(async (path, bundle, options) =>
      (await import('../commands/exchange.js')).pack(path, bundle, options),
    );

  program
    .command('unpack')
    .summary('create a run from packed work, or add a packed module to a run')
    .description(
      'Checks every hash. Work becomes a run; `run RUN --only MT/1` then incubates its module. A module is added to the run ' +
        'that it was packed for. A module that was incubated against another meta model is refused.',
    )
    .argument('<bundle>', 'file that `pack` wrote')
    .option('--into <run>', 'folder of the run (for work: a new folder, default runs/<name of the recipe>)')
    .option('--replace', 'move an existing module, and the phases that depend on it, to RUN/previous/<n>/')
    .option('--force', 'accept a module of another meta model, or of other images, anyway')
    .option(
      '--accept-data-change',
      'accept a module that was trained on other images than the run; the difference is recorded',
    )
    .addHelpText(
      'after',
      examples(
        ['deep-incubation unpack mt1.work.tar --into runs/work', 'on the other machine'],
        ['deep-incubation unpack mt1.module.tar --into runs/x', 'on the first machine'],
      ),
    )
    .action(async (bundle, options) => (await import('../commands/exchange.js')).unpack(bundle, options));
}
