import { type Command, Option } from '@commander-js/extra-typings';
import {
  CHECKPOINT,
  CLASSES,
  collect,
  EVAL_SPLIT,
  examples,
  list,
  positiveInteger,
  SET,
  SET_OF_MODEL,
  weightsOption,
} from '../commands/common-options.js';

/** Commands that read a checkpoint. */
export function addModels(program: Command): void {
  addEval(program);
  addPredict(program);
  addInspect(program);
  addConvert(program);
  addExport(program);
  addPush(program);
}

function addEval(program: Command): void {
  program
    .command('eval')
    .summary('evaluate a checkpoint on a folder of images')
    .description(
      'Evaluates a model: prints its metrics and its loss. CHECKPOINT is a phase of a run (RUN/FT: its latest checkpoint), a ' +
        'checkpoint folder, or weights of the official code, DeiT, timm or Hugging Face, as a local file or on the hub ' +
        '(hf:owner/repo[/path/in/repo][@revision]; uses HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE). Our ' +
        'checkpoints contain their model settings. For others, the geometry is derived from the weights. The number ' +
        'of heads comes from a config.json in the same folder, or from the width of a published ViT; otherwise set --recipe or ' +
        '--set model.heads=N. To evaluate at another image size than the weights were trained for, --set model.image_size=N ' +
        'resizes the position embedding.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .requiredOption(
      '--data <path>',
      'images: <class>/*, *_y<label>.png, val/, tar shards, the files of Fashion-MNIST, CIFAR, iNaturalist, ADE20K or COCO, or a .csv file',
    )
    .addOption(EVAL_SPLIT)
    .option('--classes <path>', CLASSES)
    .option(
      '--present-classes',
      'choose only among the classes that have images, as ImageNet-A and ImageNet-R are scored',
    )
    .option(
      '--real-labels <file>',
      "also score with ReaL labels: real.json, the lists of labels of ImageNet's validation images",
    )
    .option('--recipe <file>', 'recipe of the model')
    .option('--set <key=value>', SET_OF_MODEL, collect)
    .option('--batch-size <n>', 'images per batch', positiveInteger, 64)
    .option(
      '--batch-mean',
      'also print the unweighted mean of the batch means, which the official code reports as its loss',
    )
    .option(
      '--per-image <file>',
      'also write the predictions for each image: a .csv or .jsonl file; for a detection model .json, as results files of COCO',
    )
    .option('--top <k>', 'classes per image in that file', positiveInteger, 5)
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation eval runs/clothes/FT --data data/clothes', 'the latest checkpoint of a phase'],
        ['deep-incubation eval hf:owner/repo/vit_base.pth --data imagenet/val', 'a published model'],
        ['deep-incubation eval tiny.pth --data val --set model.heads=4', 'if the number of heads is unknown'],
      ),
    )
    .action(async (checkpoint, options) =>
      (await import('../commands/eval.js')).evaluateCheckpoint(checkpoint, options),
    );
}

function addPredict(program: Command): void {
  program
    .command('predict')
    .summary('classify images, label their pixels, or find objects')
    .description(
      'Classifies images, which need no labels: prints the most likely classes of each with their probabilities. A folder stands ' +
        'for all images in it and below, a .csv file for the images that it lists. CHECKPOINT is anything that `eval` accepts, and images are prepared as in `eval`. An image ' +
        'that cannot be read is listed and skipped; the exit status is then 1. A segmentation model writes a label map for each image ' +
        'to --out: a grey PNG, k + 1 for class k. A detection model prints the --top best objects of each image, and writes them with ' +
        "boxes and masks to --out: a .json file in COCO's layout.",
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('<path...>', 'image files, folders of images, and .csv files with a column path')
    .option('--top <k>', 'number of classes, or objects, per image', positiveInteger, 5)
    .addOption(new Option('--csv', 'print a CSV table').conflicts('json'))
    .option('--json', 'print one JSON object per line')
    .option(
      '--out <path>',
      'for a segmentation model: folder for the label maps (PNG); for a detection model: .json file for the objects',
    )
    .option('--classes <path>', CLASSES)
    .option('--recipe <file>', 'recipe of the model')
    .option('--set <key=value>', SET_OF_MODEL, collect)
    .option('--batch-size <n>', 'images per batch', positiveInteger, 64)
    .addOption(weightsOption())
    .addHelpText(
      'after',
      examples(
        ['deep-incubation predict runs/clothes/FT photo.jpg', 'the five most likely classes'],
        ['deep-incubation predict runs/clothes/FT photos --csv > photos.csv', 'all images of a folder'],
        ['deep-incubation predict hf:owner/repo photos --top 1 --json', 'a published model'],
      ),
    )
    .action(async (checkpoint, paths, options) =>
      (await import('../commands/predict.js')).predictPaths(checkpoint, paths, options),
    );
}

function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('show the contents of a checkpoint')
    .description(
      'Prints the format, stages, parameters, geometry and training state of a checkpoint. Accepts the same checkpoints as ' +
        '`eval`. A .pth file is read without running the code that it may contain.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .option('--tensors', 'list every tensor')
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation inspect runs/demo/PT', 'the latest checkpoint of a phase'],
        ['deep-incubation inspect vit_base.pth --tensors', 'every tensor with its shape'],
      ),
    )
    .action(async (checkpoint, options) =>
      (await import('../commands/inspect.js')).inspect(checkpoint, options),
    );
}

function addConvert(program: Command): void {
  program
    .command('convert')
    .summary('write a checkpoint in the format of another program')
    .description(
      'Writes the weights of a checkpoint, bit for bit, in another format: deep-incubation (safetensors, divided into stages), ' +
        'timm (safetensors, undivided), huggingface (a folder with config.json), torchvision (safetensors of a ResNet, ' +
        'undivided), official (.pth of the official code, divided into stages). Accepts the same checkpoints as `eval`.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('<out>', 'file to write; a folder for huggingface')
    .addOption(
      new Option('--to <format>', 'output format')
        .choices(['deep-incubation', 'timm', 'huggingface', 'torchvision', 'official'] as const)
        .makeOptionMandatory(),
    )
    .option('--depths <numbers>', 'blocks per stage, such as 3,3,3,3 (default: unchanged)', depths)
    .option('--resize <pixels>', 'resize the position embedding for images of this size', positiveInteger)
    .option('--classes <path>', `${CLASSES} (default: the checkpoint's)`)
    .option('--recipe <file>', 'recipe of the model')
    .option(
      '--set <key=value>',
      'set facts that the weights do not contain, such as model.heads or model.layer_norm_eps; repeatable',
      collect,
    )
    .option('--force', 'overwrite existing files')
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation convert runs/demo/FT vit/ --to huggingface', 'for transformers'],
        ['deep-incubation convert vit_base.pth vit_base.safetensors --to timm', 'for timm'],
        [
          'deep-incubation convert vit.safetensors vit.pth --to official --depths 3,3,3,3',
          'divided into four stages',
        ],
      ),
    )
    .action(async (checkpoint, out, options) =>
      (await import('../commands/convert.js')).convert(checkpoint, out, options),
    );
}

function depths(value: string): number[] {
  return list(value).map(positiveInteger);
}

function addExport(program: Command): void {
  program
    .command('export')
    .summary('export a checkpoint as an ONNX model')
    .description(
      'Writes a model as ONNX (operator set 17, float32), which onnxruntime runs in Python, C++, JavaScript and the ' +
        'browser: pixels [batch, channels, size, size] to logits [batch, classes], any batch size. Its metadata says ' +
        'how to preprocess an image. Accepts the same checkpoints as `eval`. Weights above 1.5 GB are written to OUT.data.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('<out>', 'file to write, such as vit.onnx')
    .option(
      '--with-normalisation',
      'include the normalisation: the input is pixels from 0 to 1 (default: normalised pixels)',
    )
    .option('--classes <path>', `${CLASSES} (default: the checkpoint's)`)
    .option('--external-data', 'always write the weights to OUT.data')
    .option('--recipe <file>', 'recipe of the model')
    .option('--set <key=value>', `${SET}; keys under model, data.mean, data.std, data.eval_crop`, collect)
    .option('--force', 'overwrite existing files')
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation export runs/demo/FT vit.onnx --with-normalisation', 'input: pixels from 0 to 1'],
        ['deep-incubation export vit_base.pth vit.onnx --classes names.txt', 'with class names'],
      ),
    )
    .action(async (checkpoint, out, options) =>
      (await import('../commands/export.js')).exportModel(checkpoint, out, options),
    );
}

function addPush(program: Command): void {
  program
    .command('push')
    .summary('upload a model to the Hugging Face hub')
    .description(
      'Uploads a checkpoint, or the result of a run, to a model repository of the Hugging Face hub, in one commit: the weights, ' +
        'their config.json and a model card with the settings and results of the run. The repository is created if it does not ' +
        'exist. The token comes from HF_TOKEN, or from `hf auth login`; HF_ENDPOINT sets another hub. --dry-run lists the files ' +
        'and prints the card, and sends nothing.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .argument('<repository>', 'owner/name')
    .option('--dry-run', 'list the files with their sizes and print the model card; no network, no token')
    .addOption(
      new Option(
        '--to <format>',
        'format of the weights (default: huggingface if it can hold the model, else deep-incubation)',
      ).choices(['deep-incubation', 'timm', 'huggingface', 'torchvision'] as const),
    )
    .option('--private', 'make a new repository private')
    .option('--message <text>', 'first line of the commit message')
    .option('--classes <path>', `${CLASSES} (default: the checkpoint's)`)
    .option('--recipe <file>', 'recipe of the model')
    .option('--set <key=value>', SET_OF_MODEL, collect)
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation push runs/demo ada/demo --dry-run', 'show what would be uploaded'],
        ['deep-incubation push runs/demo/FT/best ada/demo --private', 'the best checkpoint'],
        ['deep-incubation push vit.pth ada/vit --to timm', 'for timm'],
      ),
    )
    .action(async (checkpoint, repository, options) =>
      (await import('../commands/push.js')).push(checkpoint, repository, options),
    );
}
