import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import type { Batch } from '../../data/dataset.js';
import { resnet } from '../../models/resnet/resnet.js';
import type { Blueprint } from '../../models/staged.js';
import { vit } from '../../models/vit/vit.js';
import { loadWeights, weightsOf } from '../../nn/weights.js';
import { type ClassificationOptions, classification } from '../../tasks/classification/classification.js';
import { mul } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { fromArray, fromData } from '../../torch/tensor.js';
import { sgd } from '../../training/optimizers/sgd.js';
import { type TrainOptions, train } from '../../training/trainer.js';
import { readSafetensors } from '../../weights/safetensors/safetensors.js';
import { assemble } from '../assemble.js';
import { supervisedContrastive } from './infopro-head.js';
import { auxiliaryCosts, auxiliaryHeads, type LocalLosses, localLosses } from './local-losses.js';

// Against plain PyTorch (test/fixtures/make-local-losses.py), where each module has its own optimiser and backward pass.

const fixtures = new URL('../../../test/fixtures/', import.meta.url);
const { tensors } = readSafetensors(fileURLToPath(new URL('local-losses.safetensors', fixtures)));

interface Case {
  readonly depths: readonly number[];
  readonly lr: number;
  readonly nesterov: boolean;
  readonly decay: number;
  readonly F32: readonly number[];
  readonly F64: readonly number[];
  /** The 2-norm of each weight after ten steps in float64. */
  readonly norms: Readonly<Record<string, number>>;
}
const cases: Record<string, Case> = JSON.parse(readFileSync(new URL('local-losses.json', fixtures), 'utf8'));

const WEIGHTS = { reconstruction: [5, 1], prediction: [0.5, 2] } as const;
const LOSSES: Record<string, LocalLosses> = {
  dgl: { method: 'dgl' },
  contrastive: { method: 'infopro', task: 'contrastive', ...WEIGHTS },
  'cross-entropy': { method: 'infopro', task: 'cross-entropy', ...WEIGHTS },
};
const BLUEPRINTS: Record<string, Blueprint> = {
  resnet: resnet({
    imageSize: 8,
    channels: 3,
    classes: 10,
    blocks: [2, 2, 2],
    widths: [4, 8, 16],
    shortcut: 'B',
  }),
  vit: vit({
    imageSize: 8,
    patchSize: 2,
    channels: 3,
    classes: 10,
    width: 16,
    depth: 4,
    heads: 2,
    mlpRatio: 2,
    qkvBias: true,
    layerNormEps: 1e-6,
    classToken: true,
  }),
};
const normalisation = { mean: [0.5, 0.375, 0.25], std: [0.25, 0.1875, 0.3125] };

type DType = 'F32' | 'F64';

function open(model: string, method: string, dtype: DType, depths: readonly number[]) {
  const blueprint = BLUEPRINTS[model];
  const context = { device: 'cpu', dtype, generator: new Generator().seed([0, 'init']) } as const;
  const built = assemble(blueprint, depths, null, context);
  const heads = auxiliaryHeads(blueprint, depths, LOSSES[method], context);
  const options: ClassificationOptions = {
    channels: 3,
    classes: 10,
    ...normalisation,
    device: 'cpu',
    dtype,
  };
  const { featureMap } = blueprint;
  if (featureMap === undefined) throw new Error('no feature map');
  const objective = localLosses(classification(options), {
    model: built,
    heads,
    featureMap,
    ...normalisation,
  });
  return { built, heads, objective };
}

/** PyTorch's name of a tensor of stage `stage`, which follows `before` blocks. */
function theirName(local: string, before: number): string {
  return local
    .replace(/^blocks\.(\d+)/, (_, block) => `blocks.${before + Number(block)}`)
    .replace(/^head\./, 'fc.');
}

const [pixels, labelTensor] = ['images', 'labels'].map((name) => tensors.get(name) as TensorData);
const labels = Int32Array.from(new Int32Array(labelTensor.data.slice().buffer));
const batch: Batch = {
  size: 8,
  channels: 3,
  height: 8,
  width: 8,
  images: pixels.data,
  labels,
  indices: Int32Array.from(labels.keys()),
};
async function* batches() {
  for (;;) yield batch;
}

async function losses(opened: ReturnType<typeof open>, given: Case, change: Partial<TrainOptions> = {}) {
  const { objective } = opened;
  const parameters = objective.model.trainedParameters();
  const optimizer = sgd([{ weightDecay: given.decay, parameters }], { nesterov: given.nesterov });
  const found: number[] = [];
  await train({
    model: objective.model,
    task: objective.task as never,
    optimizer,
    schedule: () => given.lr,
    batches: batches(),
    steps: 10,
    seed: 0,
    phase: 'E2E',
    afterStep: ({ loss }) => void found.push(loss),
    ...(change as object),
  });
  optimizer.free();
  return found;
}

const start = (name: string, key: string) => tensors.get(`${name}.start.${key}`) as TensorData;

function fromReference(name: string, dtype: DType) {
  const [model, method] = name.split('.');
  const { depths } = cases[name];
  const opened = open(model, method, dtype, depths);
  for (const [i, stage] of opened.built.stages.entries()) {
    const before = depths.slice(0, i).reduce((a, b) => a + b, 0);
    const names = Array.from(stage.namedWeights(), ([local]) => local);
    loadWeights(stage, new Map(names.map((local) => [local, start(name, theirName(local, before))])), name);
  }
  const names = Array.from(opened.heads.namedWeights(), ([local]) => local);
  const given = [...tensors.keys()].filter((key) => key.startsWith(`${name}.start.auxiliary.`));
  expect(names.map((each) => `${name}.start.${each}`).sort()).toEqual(given.sort());
  loadWeights(opened.heads, new Map(names.map((local) => [local, start(name, local)])), name);
  return opened;
}

describe.each(Object.keys(cases))('%s', (name) => {
  test.each([
    // Float32 is rounded differently on other processors, and training amplifies that: 3e-6 was seen in the tenth step.
    ['F32', 1e-6, 1e-5],
    ['F64', 1e-12, 1e-12],
  ] as const)(
    '%s: the losses of five steps are those of PyTorch within %d, of ten within %d',
    async (dtype, first, later) => {
      const opened = fromReference(name, dtype);
      const ours = await losses(opened, cases[name]);
      const theirs = cases[name][dtype];
      expect(ours).toHaveLength(theirs.length);
      for (const [i, loss] of ours.entries())
        expect(Math.abs(loss / theirs[i] - 1)).toBeLessThan(i < 5 ? first : later);
      if (dtype === 'F64') expectNorms(opened, cases[name]);
      opened.built.free();
      opened.heads.free();
    },
  );

  test('the cost has the parameters of the heads, by name', () => {
    const [model, method] = name.split('.');
    const { depths } = cases[name];
    const { built, heads } = open(model, method, 'F32', depths);
    const costs = auxiliaryCosts(BLUEPRINTS[model], depths, LOSSES[method]);
    const counted = costs.flatMap(({ tensors = {} }, i) =>
      Object.entries(tensors).map(([key, { parameters }]) => [`auxiliary.${i}.${key}`, parameters]),
    );
    const held = Array.from(heads.namedParameters(), ([key, { shape }]) => [
      key,
      shape.reduce((a, b) => a * b, 1),
    ]);
    expect(Object.fromEntries(counted)).toEqual(Object.fromEntries(held));
    built.free();
    heads.free();
  });

  test('with recomputed activations, the weights are the same, bit by bit', async () => {
    const [plain, recomputed] = [0, 1].map(() => fromReference(name, 'F32'));
    await losses(plain, cases[name]);
    await losses(recomputed, cases[name], { activationCheckpointing: true });
    expect(weightsOf(recomputed.built)).toEqual(weightsOf(plain.built));
    expect(weightsOf(recomputed.heads)).toEqual(weightsOf(plain.heads));
  });
});

function expectNorms({ built, heads }: ReturnType<typeof open>, { depths, norms }: Case): void {
  const found = [
    ...built.stages.flatMap((stage, i) => {
      const before = depths.slice(0, i).reduce((a, b) => a + b, 0);
      return [...weightsOf(stage)].map(([local, data]) => [theirName(local, before), data] as const);
    }),
    ...weightsOf(heads),
  ];
  expect(found.map(([name]) => name).sort()).toEqual(Object.keys(norms).sort());
  for (const [name, data] of found) {
    const values = [...(data.dtype === 'I64' ? bigintsOf(data) : fromData(data).toFloat64Array())];
    const norm = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
    expect(Math.abs(norm - norms[name]) / Math.max(1, norms[name]), name).toBeLessThan(1e-12);
  }
}

function bigintsOf({ data }: TensorData): number[] {
  return Array.from(new BigInt64Array(data.slice().buffer), Number);
}

test('no gradient passes from a module to the one before it', async () => {
  const depths = [2, 4];
  const run = async (change: boolean) => {
    const opened = open('resnet', 'dgl', 'F32', depths);
    // Other logits for the last module only: its loss changes, and the first module does not notice.
    const { task, model } = opened.objective;
    const spoiled = {
      ...task,
      loss: (output: Parameters<typeof task.loss>[0], target: Parameters<typeof task.loss>[1]) =>
        task.loss(change ? { ...output, logits: mul(output.logits, -1) } : output, target),
    };
    await losses({ ...opened, objective: { model, task: spoiled } }, cases['resnet.dgl']);
    return opened.built.stages.map(weightsOf);
  };
  const [plain, changed] = [await run(false), await run(true)];
  expect(changed[0]).toEqual(plain[0]);
  expect(changed[1]).not.toEqual(plain[1]);
});

describe('supervisedContrastive', () => {
  const vectors = [
    [1, 0],
    [0, 2],
    [3, 3],
    [-1, 0.5],
  ];
  const loss = (classes: readonly number[]) => {
    const features = fromArray(Float64Array.from(vectors.slice(0, classes.length).flat()), [
      classes.length,
      2,
    ]);
    const targets = fromArray(BigInt64Array.from(classes, BigInt), [classes.length]);
    return supervisedContrastive(features, targets).item();
  };
  /** By the formula, pair by pair. */
  function reference(classes: readonly number[]): number {
    const unit = vectors
      .slice(0, classes.length)
      .map(([x, y]) => [x / Math.hypot(x, y), y / Math.hypot(x, y)]);
    const score = (i: number, k: number) => (unit[i][0] * unit[k][0] + unit[i][1] * unit[k][1]) / 0.07;
    const each = classes.map((own, i) => {
      const others = [...classes.keys()].filter((k) => k !== i);
      const same = others.filter((k) => classes[k] === own);
      const total = Math.log(others.reduce((sum, k) => sum + Math.exp(score(i, k)), 0));
      return same.length === 0 ? 0 : -same.reduce((sum, k) => sum + score(i, k) - total, 0) / same.length;
    });
    return each.reduce((a, b) => a + b) / classes.length;
  }

  test.each([[[0, 0, 1, 1]], [[3, 3, 3, 3]], [[0, 1, 0, 2]], [[5, 5]]])('classes %o', (classes) => {
    expect(Math.abs(loss(classes) - reference(classes))).toBeLessThan(1e-12);
  });

  test.each([[[0, 1, 2, 3]], [[0, 1]]])('classes %o: no pair, no loss', (classes) => {
    expect(loss(classes)).toBeCloseTo(0, 15);
  });
});

test('models without feature maps and undivided models are refused', () => {
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator() } as const;
  const { featureMap: _, ...without } = BLUEPRINTS.vit;
  const heads = (blueprint: Blueprint, depths: readonly number[]) => () =>
    auxiliaryHeads(blueprint, depths, { method: 'dgl' }, context);
  expect(heads(without, [2, 2])).toThrow(InputError);
  expect(heads(without, [2, 2])).toThrow('does not state its features as images');
  expect(heads(BLUEPRINTS.vit, [4])).toThrow('need at least two modules');
});
