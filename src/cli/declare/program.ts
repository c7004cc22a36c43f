import { Command } from '@commander-js/extra-typings';
import { versions } from '../../base/versions.js';
import { examples } from '../commands/common-options.js';
import { addCancel } from './cancel.js';
import { addConvert } from './convert.js';
import { addData } from './data.js';
import { addDoctor } from './doctor.js';
import { addEval } from './eval.js';
import { addExchange } from './exchange.js';
import { addExport } from './export.js';
import { addInit } from './init.js';
import { addInspect } from './inspect.js';
import { addPhase } from './phase.js';
import { addPlan } from './plan.js';
import { addPredict } from './predict.js';
import { addReport } from './report.js';
import { addRun } from './run.js';
import { addSetup } from './setup.js';
import { addStatus } from './status.js';
import { addWatch } from './watch.js';

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
  addInit(program);
  addRun(program);
  addStatus(program);
  addCancel(program);
  addPhase(program);
  addEval(program);
  addPredict(program);
  addPlan(program);
  addInspect(program);
  addConvert(program);
  addExchange(program);
  addExport(program);
  addData(program);
  addReport(program);
  addWatch(program);
  addDoctor(program);
  addSetup(program);
  return program;
}
