import { describe, expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import type { Batch } from '../src/data/dataset.js';
import { assemble } from '../src/method/assemble.js';
import { hybridRegimes } from '../src/method/hybrid.js';
import type { StagedModel } from '../src/models/staged.js';
import { weightsOf } from '../src/nn/weights.js';
import { classification } from '../src/tasks/classification/classification.js';
import { Generator } from '../src/torch/random.js';
import { adamw } from '../src/training/optimizers/adamw.js';
import { decayGroups } from '../src/training/optimizers/optimizer.js';
import { train } from '../src/training/trainer.js';
import {
  GOLDEN_VIT,
  goldenBatches,
  goldenBlueprint,
  goldenJson,
  goldenStages,
  goldenTensors,
  IMAGENET_MEAN,
  IMAGENET_STD,
  maxDifference,
  numbers,
} from './support.js';

interface Steps {
  cases: {
    E2E: { loss_fp32: number[]; loss_fp64: number[]; no_decay: string[]; grad_norm_fp32: number[] };
    MT1: { loss_fp32: number[]; loss_fp64: number[] };
    E2E_clip1_scalerpath: { loss_fp32: number[] };
    E2E_update_freq2: { loss_fp32_per_microbatch: number[]; grad_norm: number[] };
  };
}

const { cases } = goldenJson<Steps>('c_steps.json');
type DType = 'F32' | 'F64';

async function endToEnd(dtype: DType): Promise<StagedModel> {
  const context = { device: 'cpu', dtype, generator: new Generator() };
  return assemble(goldenBlueprint, [1, 1, 1, 1], await goldenStages('ckpt/PT.pth'), context);
}

async function hybrid1(dtype: DType): Promise<StagedModel> {
  const context = { device: 'cpu', dtype, generator: new Generator() };
  const stages = await goldenStages('ckpt/PT.pth');
  stages[1] = { weights: goldenTensors('c_MT1_init.safetensors'), source: 'c_MT1_init' };
  return assemble(goldenBlueprint, [1, 2, 1, 1], stages, context, { regimes: hybridRegimes(4, 1) });
}

interface Setup {
  dtype?: DType;
  undecayed?: readonly string[];
  clipGrad?: number;
  accumulate?: number;
}

/** The golden recipe: lr 1e-3, decay 0.05, smoothing 0.1, no augmentation, no drop path. */
async function run(model: StagedModel, setup: Setup = {}): Promise<{ losses: number[]; norms: number[] }> {
  const { dtype = 'F32', undecayed = goldenBlueprint.undecayed, clipGrad = null, accumulate = 1 } = setup;
  const losses: number[] = [];
  const norms: number[] = [];
  async function* batches(): AsyncGenerator<Batch> {
    yield* goldenBatches();
  }
  await train({
    model,
    task: classification({
      channels: 3,
      classes: GOLDEN_VIT.classes,
      mean: IMAGENET_MEAN,
      std: IMAGENET_STD,
      labelSmoothing: 0.1,
      device: 'cpu',
      dtype,
    }),
    optimizer: adamw(decayGroups(model.trainedParameters(), 0.05, undecayed)),
    schedule: () => 1e-3,
    batches: batches(),
    fromStep: 0,
    steps: 10 / accumulate,
    accumulate,
    clipGrad,
    precision: 'float32',
    device: 'cpu',
    generator: new Generator(),
    seed: 0,
    phase: 'E2E',
    afterStep: ({ loss, gradNorm }) => {
      losses.push(loss);
      if (gradNorm !== undefined) norms.push(gradNorm);
    },
  });
  return { losses, norms };
}

function relative(ours: number[], official: number[]): number {
  expect(ours).toHaveLength(official.length);
  return ours.reduce((max, loss, i) => Math.max(max, Math.abs(loss / official[i] - 1)), 0);
}

/** The key third of qkv.bias has a true gradient of 0, and Adam amplifies its rounding: left out. */
function compareWeights(ours: Map<string, TensorData>, official: Map<string, TensorData>) {
  const differences = new Map<string, number>();
  let sum = 0;
  let count = 0;
  for (const [name, tensor] of ours) {
    // The official file has the names of the undivided model; here, each stage has one block.
    const key = name.replace(/^stages\.(\d)\.blocks\.0\./, 'blocks.$1.').replace(/^stages\.\d\./, '');
    let [a, b] = [numbers(tensor), numbers(official.get(key) as TensorData)];
    if (name.endsWith('qkv.bias')) [a, b] = [a, b].map((v) => [...v.slice(0, 64), ...v.slice(128)]);
    differences.set(name, maxDifference(a, b));
    for (const [i, value] of a.entries()) sum += Math.abs(value - b[i]);
    count += a.length;
  }
  return { differences, max: Math.max(...differences.values()), mean: sum / count };
}

describe('ten AdamW steps from the official meta model', () => {
  test('end to end, float32: losses and weights', async () => {
    const model = await endToEnd('F32');
    const { losses } = await run(model);
    expect(relative(losses, cases.E2E.loss_fp32)).toBeLessThan(1e-6);
    const { differences, max, mean } = compareWeights(
      weightsOf(model),
      goldenTensors('c_E2E_final.safetensors'),
    );
    expect(max).toBeLessThan(5e-5);
    expect(mean).toBeLessThan(1.5e-7);
    expect(differences.get('stages.0.pos_embed')).toBeLessThan(1e-6);
    expect(differences.get('stages.0.cls_token')).toBeLessThan(1e-6);
  });

  test('end to end, float64: losses', async () => {
    const { losses } = await run(await endToEnd('F64'), { dtype: 'F64' });
    expect(relative(losses, cases.E2E.loss_fp64)).toBeLessThan(1e-12);
  });

  test('module 1 in its hybrid, float32: losses and weights', async () => {
    const model = await hybrid1('F32');
    const { losses } = await run(model, { undecayed: [] });
    expect(relative(losses, cases.MT1.loss_fp32)).toBeLessThan(1e-6);
    const { max, mean } = compareWeights(
      weightsOf(model.stages[1]),
      goldenTensors('c_MT1_final.safetensors'),
    );
    expect(max).toBeLessThan(5e-5);
    expect(mean).toBeLessThan(2e-8);
  });

  test('module 1 in its hybrid, float64: losses', async () => {
    const { losses } = await run(await hybrid1('F64'), { dtype: 'F64', undecayed: [] });
    expect(relative(losses, cases.MT1.loss_fp64)).toBeLessThan(1e-12);
  });

  test('with gradients clipped to norm 1', async () => {
    const { losses } = await run(await endToEnd('F32'), { clipGrad: 1 });
    expect(relative(losses, cases.E2E_clip1_scalerpath.loss_fp32)).toBeLessThan(1e-6);
  });

  test('with two micro-batches a step', async () => {
    const { losses, norms } = await run(await endToEnd('F32'), { accumulate: 2, clipGrad: 1e9 });
    const micro = cases.E2E_update_freq2.loss_fp32_per_microbatch;
    const official = Array.from({ length: 5 }, (_, i) => (micro[2 * i] + micro[2 * i + 1]) / 2);
    expect(relative(losses, official)).toBeLessThan(1e-6);
    expect(relative(norms, cases.E2E_update_freq2.grad_norm)).toBeLessThan(1e-5);
  });
});

test('the official parameter groups', async () => {
  const model = await endToEnd('F32');
  const [undecayed] = decayGroups(model.trainedParameters(), 0.05, goldenBlueprint.undecayed);
  const names = undecayed.parameters.map(([name]) =>
    name.replace(/^stages\.0\.(cls_token|pos_embed)$/, '$1'),
  );
  expect(names.sort()).toEqual(cases.E2E.no_decay.sort());
});
