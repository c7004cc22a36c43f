import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { versions } from '../base/versions.js';

/** The command line. Each command's code is loaded when the command runs: `--help` needs none of it. */
export function createProgram() {
  const program = new Command('deep-incubation')
    .description(
      'Train large vision models by divide-and-conquer (Deep Incubation, arXiv 2212.04129), on libtorch.\n\n' +
        'A recipe file says what is trained, on which images, and how. A run is a folder of plain files.',
    )
    .version(versions()['deep-incubation'], '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .showHelpAfterError('  hint: --help, also behind a command, shows what there is')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation doctor', 'is everything there?'],
        ['deep-incubation plan recipes/demo.yaml', 'what would it cost?'],
        ['deep-incubation run recipes/demo.yaml', 'train it: PT, every MT, FT and E2E'],
        ['deep-incubation eval runs/demo/FT --data images/val', 'judge the assembled model'],
      ),
    )
    .addHelpText(
      'after',
      '\nExit status: 0 done, 1 failed, 2 the input was wrong; stopped by a signal: 128 + its number.',
    );
  addRun(program);
  addPhase(program);
  addEval(program);
  addPlan(program);
  addInspect(program);
  addReport(program);
  addDoctor(program);
  return program;
}

function addRun(program: Command): void {
  program
    .command('run')
    .summary('train a recipe; run again, it resumes')
    .description(
      'Trains every phase of a recipe: the meta model (PT), each module in a hybrid (MT/0, MT/1 ...), the assembled ' +
        'model (FT), and the end-to-end baseline (E2E) if the recipe asks for it. Phases run in processes of their ' +
        'own. The same command run again goes on where it was stopped; what is done is not done again.',
    )
    .argument('<recipe>', 'recipe file, YAML or JSON')
    .option('--out <folder>', 'folder of the run (default: runs/<name of the recipe>)')
    .option('--set <key=value>', SET, collect)
    .option('--only <phases>', 'these phases alone, such as PT,MT/0,FT (default: all)', list)
    .option('--quiet', 'print the result alone, no progress')
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation run recipes/demo.yaml --out runs/a', 'train, or go on with, runs/a'],
        ['deep-incubation run my.yaml --set seed=1 --set training.batch_size=64', 'with other settings'],
        ['deep-incubation run my.yaml --only PT,MT/2', 'one part of the work, on this machine'],
      ),
    )
    .action(async (recipe, options) => (await import('./commands/run.js')).run(recipe, options));
}

function addPhase(program: Command): void {
  program
    .command('phase', { hidden: true })
    .description('Runs one phase of a prepared run in this process. `run` starts it.')
    .argument('<run>', 'folder of the run')
    .argument('<phase>', 'PT, MT/0 ..., FT or E2E')
    .requiredOption('--threads <n>', 'CPU threads', positiveInteger)
    .requiredOption('--device <device>', 'auto, cpu, cuda or cuda:<n>')
    .action(async (run, phase, options) =>
      (await import('./commands/phase.js')).runOnePhase(run, phase, options),
    );
}

function addEval(program: Command): void {
  program
    .command('eval')
    .summary('accuracy and loss of a checkpoint on a folder of images')
    .description(
      'Evaluates a model: top-1, top-5 and loss. CHECKPOINT is a phase of a run (RUN/FT: its latest checkpoint), a ' +
        'checkpoint folder, a .safetensors file, or a .pth of the official code, DeiT or timm. Our checkpoints say ' +
        'what model they hold; of others the geometry is read off the weights, but for the number of heads: known ' +
        "for the published ViT's widths, else give --recipe or --set model.heads=N.",
    )
    .argument('<checkpoint>', 'weights to evaluate')
    .requiredOption(
      '--data <folder>',
      'images: <class>/*, or *_y<label>.png, or a folder with val/, or the four files of Fashion-MNIST',
    )
    .option('--recipe <file>', 'recipe the model belongs to')
    .option('--set <key=value>', `${SET}; keys under model, data.mean, data.std, run`, collect)
    .option('--batch-size <n>', 'images at a time', positiveInteger, 64)
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation eval runs/demo/FT --data images/val', 'the latest checkpoint of a phase'],
        ['deep-incubation eval vit_base.pth --data imagenet/val --json', 'a published model'],
        ['deep-incubation eval tiny.pth --data val --set model.heads=4', 'where heads cannot be known'],
      ),
    )
    .action(async (checkpoint, options) =>
      (await import('./commands/eval.js')).evaluateCheckpoint(checkpoint, options),
    );
}

function addPlan(program: Command): void {
  program
    .command('plan')
    .summary('what a recipe will do and cost')
    .description(
      'Prints, for each phase, depths, steps, parameters, block-passes, multiply-accumulates (MACs), memory and disk, ' +
        'and what Deep Incubation costs against end-to-end training. A block-pass is one image through one block: ' +
        'forward, weight gradient and activation gradient count one each. Trains nothing.',
    )
    .argument('<recipe>', 'recipe file, YAML or JSON')
    .option('--set <key=value>', SET, collect)
    .option('--images <n>', 'plan for so many training images, without opening any', positiveInteger)
    .option('--measure', 'run a few steps of each phase on random images, and estimate the time')
    .option('--json', 'print the plan as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation plan recipes/demo.yaml --measure', 'cost, and time on this machine'],
        ['deep-incubation plan my.yaml --set incubation.modules=8', 'divided another way'],
        ['deep-incubation plan my.yaml --images 1281167', 'before the images are there'],
      ),
    )
    .action(async (recipe, options) => (await import('./commands/plan.js')).plan(recipe, options));
}

function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('what a checkpoint holds')
    .description(
      'Prints format, stages, parameters and geometry of a checkpoint, and how far training was. Takes what `eval` ' +
        'takes. A .pth is read without running the code it may contain.',
    )
    .argument('<checkpoint>', 'phase of a run, checkpoint folder, .safetensors or .pth')
    .option('--tensors', 'list every tensor')
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation inspect runs/demo/PT', 'the latest checkpoint of a phase'],
        ['deep-incubation inspect vit_base.pth --tensors', 'every tensor with its shape'],
      ),
    )
    .action(async (checkpoint, options) =>
      (await import('./commands/inspect.js')).inspect(checkpoint, options),
    );
}

function addReport(program: Command): void {
  program
    .command('report')
    .summary("write a run's report again")
    .description(
      'Writes report/index.html of a run, finished or not: one page that needs nothing beside itself.',
    )
    .argument('<run>', 'folder of the run')
    .addHelpText(
      'after',
      examples(['deep-incubation report runs/demo', 'writes runs/demo/report/index.html']),
    )
    .action(async (run) => (await import('./commands/report.js')).report(run));
}

function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('what was found on this machine, and what is wrong with it')
    .description(
      'Prints what was found: Node, libtorch, devices, threads, BLAS, image decoders, images; and what to do about ' +
        'what is missing. Exits with 1 where nothing can be trained.',
    )
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples(['deep-incubation doctor', 'look at this machine']))
    .action(async (options) => (await import('./commands/doctor.js')).doctor(options));
}

const SET = 'replace a setting of the recipe; repeatable; values are YAML';

function examples(...lines: readonly (readonly [command: string, what: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  const shown = lines.map(([command, what]) => `  ${command.padEnd(width)}  # ${what}`);
  return `\nExample${lines.length > 1 ? 's' : ''}:\n${shown.join('\n')}`;
}

function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

function list(value: string): string[] {
  return value.split(',').map((part) => part.trim());
}

function positiveInteger(value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number > 0 && Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError('Expected a whole number above 0.');
}
