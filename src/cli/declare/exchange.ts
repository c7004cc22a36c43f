import type { Command } from '@commander-js/extra-typings';
import { ACCEPT_DATA_CHANGE, collect, examples, positiveInteger, SET } from '../commands/common-options.js';

export const FORCE =
  'assemble modules of different meta models all the same; what is at risk is printed and logged';

export function addExchange(program: Command): void {
  program
    .command('redo')
    .summary('train one phase of a run anew, and what starts from it')
    .description(
      'Trains one phase of a run anew, such as a module with another schedule, more images or more blocks, then what ' +
        'starts from it and had been begun: of a module FT. What they were is moved to RUN/previous/<n>/. Settings of ' +
        'one module alone are under phases.modules.<i>: all of training, and data.path, data.fraction, ' +
        'data.train_images.',
    )
    .argument('<run>', 'folder of the run')
    .argument('<phase>', 'PT, MT/0 ..., FT or E2E')
    .option('--set <key=value>', SET, collect)
    .option('--depth <blocks>', 'give the module so many blocks', positiveInteger)
    .option('--force', FORCE)
    .option('--accept-data-change', ACCEPT_DATA_CHANGE)
    .option('--quiet', 'print the result alone, no progress')
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation redo runs/x MT/1 --set phases.modules.1.epochs=200', 'longer'],
        ['deep-incubation redo runs/x MT/1 --depth 8', 'deeper'],
      ),
    )
    .action(async (run, phase, options) => (await import('../commands/redo.js')).redo(run, phase, options));

  program
    .command('pack')
    .summary('put a module, or what is needed to incubate one, into one file')
    .description(
      'With --for, packs the recipe and the meta model of a run, for another machine to incubate that module; no ' +
        'images. Of a module that is done (RUN/MT/1) packs the module, to be sent back. A bundle is a tar file with ' +
        'the hash of everything in it.',
    )
    .argument('<run-or-module>', 'folder of a run (with --for), or of a module in one')
    .argument('<bundle>', 'file to write')
    .option('--for <module>', 'the module to be incubated elsewhere, such as MT/1')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation pack runs/x mt1.work.tar --for MT/1', 'work for another machine'],
        ['deep-incubation pack runs/x/MT/1 mt1.module.tar', 'the module back'],
      ),
    )
    .action(async (path, bundle, options) =>
      (await import('../commands/exchange.js')).pack(path, bundle, options),
    );

  program
    .command('unpack')
    .summary('make a run of packed work, or take a packed module into a run')
    .description(
      'Checks every hash. Of work makes a run, whose module `run RUN --only MT/1` incubates. A module goes into the run ' +
        'that it was packed for: one incubated against another meta model is refused.',
    )
    .argument('<bundle>', 'file that `pack` wrote')
    .option('--into <run>', 'folder of the run (of work: a new one, default runs/<name of the recipe>)')
    .option('--replace', 'move a module that is there, and what starts from it, to RUN/previous/<n>/')
    .option('--force', 'take a module of another meta model, or of other images, anyway')
    .option(
      '--accept-data-change',
      'take a module that was trained on other images than the run; the difference is recorded',
    )
    .addHelpText(
      'after',
      examples(
        ['deep-incubation unpack mt1.work.tar --into runs/work', 'on the other machine'],
        ['deep-incubation unpack mt1.module.tar --into runs/x', 'back home'],
      ),
    )
    .action(async (bundle, options) => (await import('../commands/exchange.js')).unpack(bundle, options));
}
