import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Batch, Dataset } from '../../data/dataset.js';
import { evalFolder } from '../../data/folder.js';
import { fashionMnist } from '../../data/idx.js';
import { evalBatches } from '../../data/loader.js';
import { evalTransform } from '../../data/transform.js';
import { assemble } from '../../incubation/assemble.js';
import { blueprintOf, vitConfigOf } from '../../incubation/recipe.js';
import { significant } from '../../report/format.js';
import { classification } from '../../tasks/classification.js';
import { resolveDevice, setThreads } from '../../torch/engine.js';
import { Generator } from '../../torch/random.js';
import { evaluate } from '../../training/evaluate.js';
import { readCheckpointFile } from '../checkpoint-file.js';
import { type ModelOfCheckpoint, modelOfCheckpoint } from '../model-of-checkpoint.js';
import { columns, note, print, printJson } from '../output.js';

interface EvalOptions {
  readonly data: string;
  readonly recipe?: string;
  readonly set?: readonly string[];
  readonly batchSize: number;
  readonly json?: true;
}

/** `eval`: what a checkpoint is worth on a folder of images. */
export async function evaluateCheckpoint(path: string, options: EvalOptions): Promise<void> {
  const checkpoint = await readCheckpointFile(path, note);
  const { file } = checkpoint;
  const known = modelOfCheckpoint(checkpoint, { recipe: options.recipe, settings: options.set ?? [] });
  if (known.assumption !== undefined) note(known.assumption);
  const { recipe, depths } = known;
  const config = vitConfigOf(recipe);
  const dataset = openData(options.data, config.classes);

  if (recipe.run.threads !== 'auto') setThreads(recipe.run.threads);
  const device = resolveDevice(recipe.run.device);
  const generator = new Generator();
  const stages = file.stages.map((weights) => ({ weights, source: file.path }));
  const model = assemble(blueprintOf(recipe), depths, stages, { device, dtype: 'F32', generator });
  const { mean, std } = recipe.data;
  const task = classification({ ...config, mean, std, labelSmoothing: 0, device });
  const transform = evalTransform(config.imageSize);
  const batches = counted(evalBatches({ dataset, batchSize: options.batchSize, transform }), dataset.length);
  const precision = recipe.training.precision ?? 'float32';

  const started = performance.now();
  const scores = await evaluate({ model, task, batches, precision, device, generator });
  const seconds = (performance.now() - started) / 1000;
  const result = {
    ...scores,
    checkpoint: file.path,
    data: options.data,
    model: modelFacts(known),
    device,
    precision,
    seconds,
    images_per_second: scores.images / seconds,
  };
  if (options.json) printJson(result);
  else printResult(result);
}

/** A folder of images, or of the four files of Fashion-MNIST. */
function openData(folder: string, classes: number): Dataset {
  const name = 't10k-images-idx3-ubyte';
  const isFashionMnist = [name, `${name}.gz`].some((file) => existsSync(join(folder, file)));
  return isFashionMnist ? fashionMnist(folder).val : evalFolder(folder, classes);
}

/** On a terminal, says how far the evaluation is. */
async function* counted(batches: AsyncIterable<Batch>, images: number): AsyncIterable<Batch> {
  const { stderr } = process;
  let seen = 0;
  try {
    for await (const batch of batches) {
      if (stderr.isTTY) stderr.write(`\r${seen} of ${images} images`);
      yield batch;
      seen += batch.size;
    }
  } finally {
    if (stderr.isTTY) stderr.write('\r\x1b[K');
  }
}

function modelFacts({ recipe, depths }: ModelOfCheckpoint) {
  const { imageSize, patchSize, channels, classes, width, heads, layerNormEps } = vitConfigOf(recipe);
  return {
    depths,
    image_size: imageSize,
    patch_size: patchSize,
    channels,
    classes,
    width,
    heads,
    layer_norm_eps: layerNormEps,
  };
}

type Result = Awaited<ReturnType<typeof evaluate>> & {
  readonly checkpoint: string;
  readonly data: string;
  readonly device: string;
  readonly images_per_second: number;
};

function printResult(result: Result): void {
  const rows = [
    ['checkpoint', result.checkpoint],
    ['images', `${result.images.toLocaleString('en-US')} of ${result.data}`],
    ['top-1', `${result.top1.toFixed(2)} %`],
    ['top-5', `${result.top5.toFixed(2)} %`],
    ['loss', result.loss.toFixed(4)],
    ['speed', `${significant(result.images_per_second)} images/s on ${result.device}`],
  ];
  print(...columns(rows, 2));
}
