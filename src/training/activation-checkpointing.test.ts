import { afterEach, describe, expect, test, vi } from 'vitest';
import { randomStream } from '../base/random.js';
import type { Batch } from '../data/dataset.js';
import { assemble } from '../method/assemble.js';
import { hybridRegimes } from '../method/hybrid.js';
import type { Regime, StagedModel } from '../models/staged.js';
import type { VitConfig } from '../models/vit/config.js';
import { vit } from '../models/vit/vit.js';
import { classification } from '../tasks/classification/classification.js';
import { Generator } from '../torch/random.js';
import { liveHandles, scope } from '../torch/scope.js';
import type { Optimizer } from './optimizers/optimizer.js';
import { type TrainOptions, train } from './trainer.js';

const DEPTHS = [2, 3, 2];
const STEPS = 2;
const TINY: VitConfig = {
  imageSize: 8,
  patchSize: 4,
  channels: 1,
  classes: 3,
  width: 8,
  depth: 7,
  heads: 2,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
};
const all: Regime[] = ['trained', 'trained', 'trained'];

function build(config: VitConfig, regimes: readonly Regime[], dropPath: number): StagedModel {
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed(['weights']) } as const;
  return assemble(vit(config), DEPTHS, [null, null, null], context, { regimes, dropPath });
}

async function* batches(): AsyncGenerator<Batch> {
  for (let i = 0; ; i++) {
    const stream = randomStream(['batch', i]);
    yield {
      size: 4,
      channels: 1,
      height: 8,
      width: 8,
      images: Uint8Array.from({ length: 4 * 64 }, () => stream.integer(0, 255)),
      labels: Int32Array.from({ length: 4 }, () => stream.integer(0, 2)),
      indices: Int32Array.from({ length: 4 }, (_, j) => j),
    };
  }
}

/** Losses and gradients of a few steps that change no weight. */
async function run(model: StagedModel, change: Partial<TrainOptions>) {
  const losses: number[] = [];
  const gradients: Map<string, Uint8Array | undefined>[] = [];
  const recording: Optimizer = {
    step() {
      scope(() => {
        const named = model.trainedParameters();
        gradients.push(new Map(named.map(([name, { grad }]) => [name, grad?.toData().data])));
      });
    },
    state: () => new Map(),
    load: () => {},
    free: () => {},
  };
  await train({
    model,
    task: classification({
      channels: 1,
      classes: 3,
      mean: [0.5],
      std: [0.5],
      labelSmoothing: 0.1,
      device: 'cpu',
    }),
    optimizer: recording,
    schedule: () => 0,
    batches: batches(),
    fromStep: 0,
    steps: STEPS,
    accumulate: 1,
    clipGrad: null,
    precision: 'float32',
    device: 'cpu',
    generator,
    seed: 7,
    phase: 'MT/1',
    afterStep: ({ loss }) => {
      losses.push(loss);
    },
    ...change,
  });
  return { losses, gradients };
}

const generator = new Generator();
const models: StagedModel[] = [];
afterEach(() => {
  for (const model of models.splice(0)) model.free();
});

/** Trains with and without it, and expects the same numbers. */
async function compare(
  config: VitConfig,
  regimes: readonly Regime[],
  dropPath: number,
  change: Partial<TrainOptions> = {},
): Promise<void> {
  const model = build(config, regimes, dropPath);
  models.push(model);
  const usual = await run(model, change);
  const before = liveHandles();
  const checkpointed = await run(model, { ...change, activationCheckpointing: true });
  expect(liveHandles()).toBe(before);
  expect(checkpointed).toEqual(usual);

  expect(usual.gradients).toHaveLength(STEPS);
  for (const gradients of usual.gradients) {
    expect(gradients.size).toBe(model.trainedParameters().length);
    for (const [name, data] of gradients)
      expect(
        data?.some((byte) => byte !== 0),
        name,
      ).toBe(true);
  }
}

describe('losses and gradients are bit-identical', () => {
  test.each([
    ['end to end', all],
    ['of module 0', hybridRegimes(3, 0)],
    ['of module 1', hybridRegimes(3, 1)],
    ['of module 2', hybridRegimes(3, 2)],
  ])('%s, with drop path and two micro-batches a step', async (_what, regimes) => {
    await compare(TINY, regimes, 0.5, { accumulate: 2 });
  });

  test.each<[string, Partial<VitConfig>]>([
    ['with a class token', {}],
    ['without', { classToken: false }],
    ['with a distillation token', { distilled: true }],
  ])('%s', async (_what, change) => {
    // Of a distilled model, this task trains only the class head.
    const regimes: Regime[] = change.distilled ? hybridRegimes(3, 1) : all;
    await compare({ ...TINY, ...change }, regimes, 0, { clipGrad: 1 });
  });

  test('in bfloat16', async () => {
    await compare(TINY, all, 0.5, { precision: 'bfloat16', accumulate: 2 });
  });
});

test('trained and suffix blocks run forward twice, prefix blocks once', async () => {
  const model = build(TINY, hybridRegimes(3, 1), 0.5);
  models.push(model);
  const forwards = model.stages.map(({ blocks }) => blocks.map((block) => vi.spyOn(block, 'forward')));
  const counts = async (activationCheckpointing: boolean) => {
    await run(model, { activationCheckpointing, steps: 1 });
    return forwards.map((stage) => stage.map((spy) => spy.mock.calls.splice(0).length));
  };
  expect(await counts(false)).toEqual(DEPTHS.map((depth) => Array(depth).fill(1)));
  expect(await counts(true)).toEqual(DEPTHS.map((depth, stage) => Array(depth).fill(stage === 0 ? 1 : 2)));
});

test('a failure in between leaves nothing behind', async () => {
  const model = build(TINY, all, 0.5);
  models.push(model);
  const before = liveHandles();
  const failing: TrainOptions['model'] = {
    trainedParameters: () => model.trainedParameters(),
    forward(x, pass) {
      model.forward(x, pass);
      throw new Error('on purpose');
    },
  };
  await expect(run(model, { model: failing, activationCheckpointing: true })).rejects.toThrow('on purpose');
  expect(liveHandles()).toBe(before);
});
