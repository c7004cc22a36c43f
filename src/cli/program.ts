import { Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
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
  addConvert(program);
  addData(program);
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
    .argument('<phase>', 'PT, MT/0 ..., FT or E2E')
    .option('--out <folder>', 'folder of the run, for a recipe (default: runs/<name of the recipe>)')
    .option('--set <key=value>', SET, collect)
    .option('--threads <n>', "CPU threads (default: the recipe's, or this machine's share)", positiveInteger)
    .option('--device <device>', "auto, cpu, cuda or cuda:<n> (default: the recipe's)")
    .addHelpText(
      'after',
      examples(
        ['deep-incubation phase my.yaml PT', 'alone'],
        ['torchrun --no-python --nproc-per-node 8 deep-incubation phase my.yaml PT', 'on 8 GPUs'],
        ['srun --ntasks-per-node 8 deep-incubation phase runs/my MT/0', 'with MASTER_ADDR set'],
      ),
    )
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
        'checkpoint folder, or weights of the official code, DeiT, timm or Hugging Face, here or on the hub ' +
        '(hf:owner/repo/path/in/repo[@revision]; HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are honoured). Our ' +
        'checkpoints say what model they hold; of others the geometry is read off the weights, but for the number ' +
        "of heads: told by a config.json beside them, known for the published ViT's widths, else give --recipe or " +
        '--set model.heads=N. For images of another size than the weights are made for, --set model.image_size=N ' +
        'resizes the position embedding.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .requiredOption(
      '--data <folder>',
      'images: <class>/*, *_y<label>.png, val/, tar shards, or the files of Fashion-MNIST, CIFAR or iNaturalist',
    )
    .option('--recipe <file>', 'recipe the model belongs to')
    .option('--set <key=value>', `${SET}; keys under model, data.mean, data.std, run`, collect)
    .option('--batch-size <n>', 'images at a time', positiveInteger, 64)
    .option('--batch-mean', 'also the unweighted mean of batch means, as the official code prints its loss')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation eval runs/demo/FT --data images/val', 'the latest checkpoint of a phase'],
        ['deep-incubation eval hf:owner/repo/vit_base.pth --data imagenet/val', 'a published model'],
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
    .argument('<checkpoint>', CHECKPOINT)
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

function addConvert(program: Command): void {
  program
    .command('convert')
    .summary('write a checkpoint as other programs read it')
    .description(
      'Writes the weights of a checkpoint, bit for bit, in another format: deep-incubation (safetensors, in stages), ' +
        'timm (safetensors, undivided), huggingface (a folder with config.json), official (.pth of the official code, ' +
        'in stages). Takes what `eval` takes.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('<out>', 'file to write; for huggingface a folder')
    .addOption(
      new Option('--to <format>', 'format to write')
        .choices(['deep-incubation', 'timm', 'huggingface', 'official'] as const)
        .makeOptionMandatory(),
    )
    .option('--depths <numbers>', 'blocks of each stage, such as 3,3,3,3 (default: as they are)', depths)
    .option('--resize <pixels>', 'resize the position embedding for images of this size', positiveInteger)
    .option('--recipe <file>', 'recipe the model belongs to')
    .option(
      '--set <key=value>',
      'tell what weights do not: model.heads, model.layer_norm_eps; repeatable',
      collect,
    )
    .option('--force', 'overwrite what is there')
    .option('--json', 'print what was written as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation convert runs/demo/FT vit/ --to huggingface', 'for transformers'],
        ['deep-incubation convert vit_base.pth vit_base.safetensors --to timm', 'for timm'],
        ['deep-incubation convert vit.safetensors vit.pth --to official --depths 3,3,3,3', 'in four stages'],
      ),
    )
    .action(async (checkpoint, out, options) =>
      (await import('./commands/convert.js')).convert(checkpoint, out, options),
    );
}

function addData(program: Command): void {
  program
    .command('data')
    .summary('look after data sets')
    .command('check')
    .summary('read every image and tell what is wrong')
    .description(
      'Decodes every image and lists what is wrong: unreadable images, wrong extensions, empty or unknown classes, ' +
        'duplicates, images both in train and val, tiny images. Exits with 1 where something is.',
    )
    .argument('<folder>', 'train/ and val/, <class>/*, tar shards, CIFAR, iNaturalist or Fashion-MNIST')
    .option('--json', 'print the report as JSON')
    .action(async (folder, options) => (await import('./commands/data-check.js')).dataCheck(folder, options));
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

const CHECKPOINT =
  'phase of a run, checkpoint folder, .safetensors, .pth or .bin, Hugging Face folder, hf:owner/repo/file';
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

function depths(value: string): number[] {
  return list(value).map(positiveInteger);
}

function positiveInteger(value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number > 0 && Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError('Expected a whole number above 0.');
}
