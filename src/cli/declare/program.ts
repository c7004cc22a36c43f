import { Command } from '@commander-js/extra-typings';
import { versions } from '../../base/versions.js';
import { examples } from '../commands/common-options.js';
import { addExchange } from './exchange.js';
import { addFeatures } from './features.js';
import { addMachine } from './machine.js';
import { addModels } from './models.js';
import { addPages } from './pages.js';
import { addTraining } from './training.js';

/** The command line. The code of a command is loaded only when it runs, so `--help` is fast. */
export function createProgram() {
  const program = new Command('deep-incubation')
    .description(
      'Train large vision models by divide-and-conquer (Deep Incubation, arXiv 2212.04129), on libtorch.\n\n' +
        'A recipe file defines the model, the images and the training. A run is a folder of plain files.',
    )
    .version(versions()['deep-incubation'], '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .showHelpAfterError(
      '  hint: `npx deep-incubation --help` lists the commands; COMMAND --help lists its options',
    )
    .addHelpText(
      'after',
      examples(
        ['deep-incubation doctor', 'check this machine'],
        ['deep-incubation plan recipes/demo.yaml', 'estimate the cost'],
        ['deep-incubation run recipes/demo.yaml', 'train PT, all MT, FT and E2E'],
        ['deep-incubation eval runs/clothes/FT --data data/clothes', 'evaluate the assembled model'],
      ),
    )
    .addHelpText(
      'after',
      '\nExit status: 0 success, 1 failure, 2 invalid input, 128 + N stopped by signal N.',
    );
  addTraining(program);
  addModels(program);
  addFeatures(program);
  addExchange(program);
  addPages(program);
  addMachine(program);
  return program;
}
