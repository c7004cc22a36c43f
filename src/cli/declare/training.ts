import { type Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import {
  ACCEPT_DATA_CHANGE,
  collect,
  examples,
  list,
  positiveInteger,
  positiveIntegers,
  positiveNumber,
  SET,
  share,
  threadCount,
} from '../commands/common-options.js';
import { FORCE } from './exchange.js';

/** Commands that plan, start and follow a training run. */
export function addTraining(program: Command): void {
  addInit(program);
  addPlan(program);
  addLrTest(program);
  addRun(program);
  addSweep(program);
  addStatus(program);
  addCancel(program);
  addPhase(program);
}

function addInit(program: Command): void {
  program
    .command('init')
    .summary('write a recipe for a folder of images or a CSV file')
    .description(
      'Looks at the images in a folder or a CSV file (their classes, numbers and sizes) and writes a commented recipe for them: a model that suits ' +
        'their number, and held-out evaluation images if there is no validation part. The recipe is checked as by `plan`. An existing ' +
        'file is never overwritten.',
    )
    .argument(
      '<images>',
      'a folder: <class>/*, train/ and val/, tar shards, or the files of a known data set; or a .csv file: path, label, split',
    )
    .option(
      '--out <file>',
      'the recipe to write (default: the name of the folder, with .yaml, in the current folder)',
    )
    .option('--print', 'print the recipe and write nothing')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation init data/flowers', 'writes flowers.yaml'],
        ['deep-incubation init data/flowers --print', 'only shows it'],
        ['deep-incubation init data/flowers.csv', 'images in a list'],
      ),
    )
    .action(async (folder, options) => (await import('../commands/init.js')).init(folder, options));
}

function addPlan(program: Command): void {
  program
    .command('plan')
    .summary('show what a recipe trains and what it costs')
    .description(
      'Prints depths, steps, parameters, block-passes, multiply-accumulates (MACs), memory and disk space of each phase, ' +
        'and the cost of Deep Incubation relative to end-to-end training. A block-pass is one image through one block: ' +
        'forward, weight gradient and activation gradient count as one each. Does not train.',
    )
    .argument('<recipe>', 'recipe file, YAML or JSON')
    .option('--set <key=value>', SET, collect)
    .option('--images <n>', 'assume this number of training images, and open no data set', positiveInteger)
    .option('--measure', 'estimate the time from a few steps of each phase on random images')
    .option(
      '--step-ms <times>',
      'measured milliseconds per step of each phase on one device: PT=80,MT=95,FT=130,E2E=131, or a JSON file',
    )
    .option(
      '--devices <list>',
      'schedule on this number of devices (8, or 1,8,64), and the time relative to end-to-end data parallel',
      positiveIntegers,
    )
    .option('--bandwidth <GB/s>', 'link bandwidth per device, for gradients', positiveNumber, 10)
    .option('--overlap <share>', "share of a micro-batch's time that hides gradient exchange", share, 0.5)
    .option('--json', 'print the plan as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation plan recipes/demo.yaml --measure', 'cost, and estimated time on this machine'],
        ['deep-incubation plan my.yaml --set incubation.modules=8', 'another division'],
        ['deep-incubation plan my.yaml --images 1281167', 'without the images'],
        ['deep-incubation plan my.yaml --devices 1,8,64 --measure', 'on several devices like this one'],
      ),
    )
    .action(async (recipe, options) => (await import('../commands/plan.js')).plan(recipe, options));
}

function addLrTest(program: Command): void {
  program
    .command('lr-test')
    .summary('find a learning rate')
    .description(
      'Learning-rate range test: trains a phase for a few steps with exponentially rising rates, prints the loss at each rate, and ' +
        'suggests the rate at which it falls fastest. Ends early if the loss diverges. Works in a temporary folder: the folder of a ' +
        'run is not touched.',
    )
    .argument('<recipe>', 'recipe file, YAML or JSON')
    .option('--set <key=value>', SET, collect)
    .option('--phase <name>', 'phase that starts from no other phase (default: the first one)')
    .option('--from <rate>', 'first rate, as the optimiser gets it', positiveNumber, 1e-6)
    .option('--to <rate>', 'last rate', positiveNumber, 1)
    .option('--steps <n>', 'number of steps', positiveInteger, 100)
    .option('--plot <file.svg>', 'also draw the losses as an SVG file')
    .option('--json', 'print the rates, losses and the suggestion as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation lr-test recipes/demo.yaml', 'for PT, the meta model'],
        ['deep-incubation lr-test my.yaml --phase E2E --plot rates.svg', 'for the baseline'],
      ),
    )
    .action(async (recipe, options) => (await import('../commands/lr-test.js')).lrTest(recipe, options));
}

function addRun(program: Command): void {
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

function addSweep(program: Command): void {
  program
    .command('sweep')
    .summary('train a recipe with different settings')
    .description(
      'Trains one run for each combination of settings and prints a table, best first. Each trial is an ordinary run in the folder of ' +
        'the sweep. If the sweep was stopped, the same command resumes it with the same trials. `report` and `watch` accept the folder. ' +
        'grid: every combination. random: --trials combinations, also from ranges. halving: successive halving; all trials train for a ' +
        'part of the epochs, the best 1/eta of them again with eta times as many, until one trains for all. Each round starts from scratch.',
    )
    .argument('<recipe>', 'recipe file, YAML or JSON')
    .requiredOption(
      '--set <key=values>',
      'values of a recipe key, key=v1,v2 (YAML), or a range, key=uniform(low,high) or key=log(low,high); repeatable',
      collect,
    )
    .option('--out <folder>', 'folder of the sweep (default: runs/<name of the recipe>-sweep)')
    .addOption(
      new Option('--method <method>', 'how trials are chosen and trained')
        .choices(['grid', 'random', 'halving'] as const)
        .default('grid' as const),
    )
    .option(
      '--trials <n>',
      'number of random trials (default: 10; with halving and without ranges, all combinations)',
      positiveInteger,
    )
    .option('--eta <n>', 'for halving: each round keeps 1/n of the trials', etaOf, 3)
    .option('--seed <n>', 'selects other random trials', wholeNumber, 0)
    .option('--json', 'print the results as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation sweep my.yaml --set training.optimizer.lr=1e-3,3e-4 --set seed=0,1', 'four runs'],
        [
          'deep-incubation sweep my.yaml --method random --set "training.optimizer.lr=log(1e-5,1e-2)"',
          'ten rates',
        ],
        [
          'deep-incubation sweep my.yaml --method halving --set training.drop_path=0,0.1,0.2',
          'fewer epochs for the worse',
        ],
      ),
    )
    .action(async (recipe, options) => (await import('../commands/sweep.js')).sweep(recipe, options));
}

function etaOf(value: string): number {
  const eta = positiveInteger(value);
  if (eta > 1) return eta;
  throw new InvalidArgumentError('Expected a whole number above 1.');
}

function wholeNumber(value: string): number {
  if (/^\d+$/.test(value) && Number.isSafeInteger(Number(value))) return Number(value);
  throw new InvalidArgumentError('Expected a whole number from 0.');
}

function addStatus(program: Command): void {
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

function addCancel(program: Command): void {
  program
    .command('cancel')
    .summary('stop all phases of a run')
    .description(
      'Stops the phases of a run. Phases on this machine save a checkpoint and exit. Slurm jobs of the run are ' +
        'cancelled, and save a checkpoint too. To resume, repeat the same `run` command.',
    )
    .argument('<run>', 'folder of the run')
    .addHelpText(
      'after',
      examples(['deep-incubation cancel runs/demo', 'succeeds also if nothing is running']),
    )
    .action(async (run) => (await import('../commands/cancel.js')).cancel(run));
}

function addPhase(program: Command): void {
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
        ['deep-incubation phase my.yaml PT', 'in a single process'],
        ['torchrun --no-python --nproc-per-node 8 deep-incubation phase my.yaml PT', 'on 8 GPUs'],
        ['srun --ntasks-per-node 8 deep-incubation phase runs/my MT/0', 'with MASTER_ADDR set'],
      ),
    )
    .action(async (run, phase, options) =>
      (await import('../commands/phase.js')).runOnePhase(run, phase, options),
    );
}
