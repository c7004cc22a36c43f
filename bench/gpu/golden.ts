import { readFileSync } from 'node:fs';
import type { TensorData } from '../../src/base/tensor-data.js';
import type { Batch } from '../../src/data/dataset.js';
import { assemble, type StageWeights } from '../../src/method/assemble.js';
import { hybridRegimes } from '../../src/method/hybrid.js';
import { readModelFile } from '../../src/models/model-file/model-file.js';
import { vit } from '../../src/models/vit/vit.js';
import { classification } from '../../src/tasks/classification/classification.js';
import { noGrad } from '../../src/torch/autograd.js';
import { to } from '../../src/torch/ops.js';
import { inPrecision, type Precision } from '../../src/torch/precision.js';
import { Generator } from '../../src/torch/random.js';
import { scope } from '../../src/torch/scope.js';
import { fromData } from '../../src/torch/tensor.js';
import { adamw } from '../../src/training/optimizers/adamw.js';
import { decayGroups } from '../../src/training/optimizers/optimizer.js';
import { train } from '../../src/training/trainer.js';
import { readSafetensors } from '../../src/weights/safetensors/safetensors.js';
import { apart, relative } from './compare.js';
import { configOf, MEAN, STD } from './models.js';
import { check } from './report.js';
import { settings } from './settings.js';

const SECTION = 'correct';
const FOLDER = 'test/golden';
const DEPTHS = [2, 2, 2, 2];
const { device, isTiny } = settings;
/** Number of steps to run, of the ten golden ones. */
const STEPS = isTiny ? 4 : 10;
const blueprint = vit(configOf({ imageSize: 28, patchSize: 4, classes: 10, width: 64, heads: 4 }, DEPTHS));

/** Runs the golden cases of test/golden on this device: losses and logits of the official code. */
export async function golden(): Promise<void> {
  const { cases } = JSON.parse(readFileSync(`${FOLDER}/c_steps.json`, 'utf8'));
  const micro: number[] = cases.E2E_update_freq2.loss_fp32_per_microbatch;
  const pairs = micro.filter((_, i) => i % 2 === 0).map((loss, i) => (loss + micro[2 * i + 1]) / 2);
  const compare = (name: string, limit: number | null, official: readonly number[], setup: Setup) =>
    check({ section: SECTION, check: `golden ${name}`, limit }, async () => ({
      value: await differenceFrom(official, setup),
    }));
  await compare('E2E, float32', 1e-4, cases.E2E.loss_fp32, {});
  await compare('MT/1, float32', 1e-4, cases.MT1.loss_fp32, { isHybrid: true });
  await compare('E2E, float64', 1e-9, cases.E2E.loss_fp64, { dtype: 'F64' });
  await compare('E2E, gradients clipped', 1e-4, cases.E2E_clip1_scalerpath.loss_fp32, { clipGrad: 1 });
  await compare('E2E, two micro-batches', 1e-4, pairs, { accumulate: 2 });
  await compare('E2E, bfloat16', null, cases.E2E.loss_fp32, { precision: 'bfloat16' });
  await compare('MT/1, bfloat16', null, cases.MT1.loss_fp32, { isHybrid: true, precision: 'bfloat16' });
  await logits('float32', 1e-4);
  await logits('bfloat16', null);
}

interface Setup {
  readonly isHybrid?: boolean;
  readonly dtype?: 'F32' | 'F64';
  readonly precision?: Precision;
  readonly clipGrad?: number;
  readonly accumulate?: number;
}

/** The maximum relative difference between the losses and the official ones. */
async function differenceFrom(official: readonly number[], setup: Setup): Promise<number> {
  const losses = await lossesOf(setup);
  return relative(losses, official.slice(0, losses.length));
}

/** Losses of the first steps; with two batches per step, half as many steps. */
async function lossesOf(setup: Setup): Promise<number[]> {
  const { isHybrid = false, dtype = 'F32', precision = 'float32', clipGrad = null, accumulate = 1 } = setup;
  const stages = await stagesOf('PT.pth');
  if (isHybrid) stages[1] = { weights: tensorsOf('c_MT1_init'), source: 'c_MT1_init' };
  const model = assemble(
    blueprint,
    isHybrid ? [1, 2, 1, 1] : [1, 1, 1, 1],
    stages,
    { device, dtype, generator: new Generator() },
    isHybrid ? { regimes: hybridRegimes(4, 1) } : {},
  );
  const undecayed = isHybrid ? [] : blueprint.undecayed;
  const losses: number[] = [];
  await train({
    model,
    task: classification({
      channels: 3,
      classes: 10,
      mean: MEAN,
      std: STD,
      labelSmoothing: 0.1,
      device,
      dtype,
    }),
    optimizer: adamw(decayGroups(model.trainedParameters(), 0.05, undecayed)),
    schedule: () => 1e-3,
    batches: batches(),
    steps: STEPS / accumulate,
    accumulate,
    clipGrad,
    precision,
    device,
    seed: 0,
    phase: 'kit',
    afterStep: ({ loss }) => void losses.push(loss),
  });
  return losses;
}

/** Compares the logits of sixteen images with those of the official model. */
function logits(precision: Precision, limit: number | null): Promise<void> {
  return check({ section: SECTION, check: `golden logits, ${precision}`, limit }, async () => {
    const batch = tensorsOf('b_batch16');
    const generator = new Generator();
    const context = { device, dtype: 'F32', generator } as const;
    const model = assemble(blueprint, DEPTHS, await stagesOf('FT.pth'), context);
    const images = tensorOf(batch, 'images');
    const ours = scope(() =>
      noGrad(() => {
        const forward = () =>
          model.forward(fromData(images, device), { training: false, generator, key: [] });
        const output = inPrecision(precision, device, forward);
        return to(output, { dtype: 'F32' }).toFloat32Array();
      }),
    );
    const official = new Float32Array(tensorOf(batch, 'logits.FT').data.slice().buffer);
    const images16 = Array.from({ length: 16 }, (_, i) => i);
    const other = images16.filter((i) => decision(ours, i) !== decision(official, i)).length;
    return { value: apart(ours, official), other_decisions: other };
  });
}

function decision(all: Float32Array, image: number): number {
  const row = all.subarray(10 * image, 10 * image + 10);
  return row.indexOf(Math.max(...row));
}

async function* batches(): AsyncGenerator<Batch> {
  const tensors = tensorsOf('c_batches');
  const grey = tensorOf(tensors, 'gray_u8');
  const labels = new Int32Array(tensorOf(tensors, 'labels').data.slice().buffer);
  const [count, size, height, width] = grey.shape;
  const bytes = size * height * width;
  for (let i = 0; i < count; i++) {
    yield {
      size,
      channels: 1,
      height,
      width,
      images: grey.data.subarray(i * bytes, (i + 1) * bytes),
      labels: labels.slice(i * size, (i + 1) * size),
      indices: Int32Array.from({ length: size }, (_, j) => i * size + j),
    };
  }
}

function tensorsOf(name: string): Map<string, TensorData> {
  return readSafetensors(`${FOLDER}/${name}.safetensors`).tensors;
}

function tensorOf(tensors: ReadonlyMap<string, TensorData>, name: string): TensorData {
  const found = tensors.get(name);
  if (found === undefined) throw new Error(`the golden file has no ${name}`);
  return found;
}

async function stagesOf(name: string): Promise<StageWeights[]> {
  const { stages } = await readModelFile(`${FOLDER}/ckpt/${name}`);
  return stages.map((weights) => ({ weights, source: name }));
}
