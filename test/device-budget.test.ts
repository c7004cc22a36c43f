import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Batch } from '../src/data/dataset.js';
import { assemble } from '../src/method/assemble.js';
import { hybridRegimes } from '../src/method/hybrid.js';
import { vit } from '../src/models/vit/vit.js';
import { classification } from '../src/tasks/classification/classification.js';
import { native } from '../src/torch/native.js';
import { Generator } from '../src/torch/random.js';
import { liveHandles } from '../src/torch/scope.js';
import { evaluate } from '../src/training/evaluate.js';
import { adamw } from '../src/training/optimizers/adamw.js';
import { decayGroups, type Optimizer } from '../src/training/optimizers/optimizer.js';
import { sgd } from '../src/training/optimizers/sgd.js';
import type { StepReport } from '../src/training/step-values.js';
import { type TrainOptions, train } from '../src/training/trainer.js';

// What a step asks of a device that is not the CPU: nothing that waits for it, unless a value is needed now.

let fake: { take(): Record<string, number> };
beforeAll(() => {
  native.engine();
  const addon = new URL('fake-accelerator/build/fake_accelerator.node', import.meta.url);
  fake = createRequire(import.meta.url)(fileURLToPath(addon));
});

const [SIZE, BATCH, CLASSES] = [16, 8, 10];
const blueprint = vit({
  imageSize: SIZE,
  patchSize: 4,
  channels: 3,
  classes: CLASSES,
  width: 16,
  depth: 4,
  heads: 2,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
});

/** A batch with everything that augmentation adds: boxes to erase, and mixup or cutmix in turn. */
function batchOf(step: number): Batch {
  const bytes = BATCH * 3 * SIZE * SIZE;
  const box = { left: 2, top: 3, width: 5 + (step % 3), height: 6 };
  return {
    size: BATCH,
    channels: 3,
    height: SIZE,
    width: SIZE,
    images: Uint8Array.from({ length: bytes }, (_, i) => (37 * i + 101 * step) % 256),
    labels: Int32Array.from({ length: BATCH }, (_, i) => (i + step) % CLASSES),
    indices: Int32Array.from({ length: BATCH }, (_, i) => i + BATCH * step),
    erased: [{ ...box, slot: step % BATCH }],
    noiseKey: [0, 'noise', step],
    mix: step % 2 === 0 ? { lambda: 0.3 } : { lambda: 0.7, box },
  };
}

async function* batches(poisoned: number | undefined): AsyncIterable<Batch> {
  for (let micro = 0; ; micro++) {
    yield micro === poisoned ? { ...batchOf(micro), mix: { lambda: Number.NaN } } : batchOf(micro);
  }
}

interface Case extends Partial<TrainOptions> {
  readonly device: string;
  readonly steps: number;
  readonly isHybrid?: boolean;
  readonly optimizerOf?: (groups: ReturnType<typeof decayGroups>) => Optimizer;
  /** Number of the micro-batch whose loss is not finite. */
  readonly poisoned?: number;
}

async function trained({ device, steps, isHybrid, optimizerOf = adamw, poisoned, ...options }: Case) {
  const context = { device, dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
  const model = assemble(blueprint, [1, 2, 1], null, context, {
    dropPath: 0.2,
    ...(isHybrid && { regimes: hybridRegimes(3, 1) }),
  });
  const weights = () => model.trainedParameters().map(([, parameter]) => parameter.toData().data);
  const images = { channels: 3, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] };
  const task = classification({ ...images, classes: CLASSES, labelSmoothing: 0.1, device });
  const options_ = { device, steps, seed: 0, phase: 'PT', batches: batches(poisoned), ...options };
  const optimizer = optimizerOf(decayGroups(model.trainedParameters(), 0.05));
  const running = train({ model, task, optimizer, schedule: () => 1e-3, ...options_ });
  return { model, task, weights, optimizer, running };
}

/** Counts of what a device was asked to do that makes its user wait. */
function waits(counts: Record<string, number>) {
  const of = (beginning: string) =>
    Object.entries(counts)
      .filter(([what]) => what.startsWith(beginning))
      .reduce((sum, [, times]) => sum + times, 0);
  return { blocking: of('blocking copy'), reads: of('scalar read') };
}

describe.each<[string, Partial<Case>]>([
  ['a step', {}],
  ['a step with clipped gradients', { clipGrad: 1 }],
  ['a step of several micro-batches', { accumulate: 3, clipGrad: 1 }],
  ['a step in bfloat16', { precision: 'bfloat16', clipGrad: 1 }],
  ['a step with activation checkpointing', { activationCheckpointing: true }],
  ['a step of a hybrid', { isHybrid: true, clipGrad: 1 }],
])('%s', (_, options) => {
  test('has no blocking copies or reads', async () => {
    const counts: Record<string, number>[] = [];
    const afterStep = () => void counts.push(fake.take());
    await (await trained({ device: 'fake:0', steps: 5, afterStep, ...options })).running;
    // The first step makes constants.
    for (const step of counts.slice(1)) {
      expect(waits(step)).toEqual({ blocking: 0, reads: 0 });
      expect(step['copy to the device']).toBeGreaterThan(0);
      expect(step['wait for an event']).toBe(1);
    }
  });

  test('has the losses and norms of the CPU', async () => {
    const curve = async (device: string) => {
      const values: number[] = [];
      const afterStep = ({ loss, gradNorm }: StepReport) => void values.push(loss, gradNorm);
      await (await trained({ device, steps: 5, afterStep, ...options })).running;
      return values;
    };
    const [cpu, other] = [await curve('cpu'), await curve('fake:0')];
    expect(other).toHaveLength(10);
    const digits = options.precision === 'bfloat16' ? 1 : 5;
    for (const [i, value] of other.entries()) expect(value).toBeCloseTo(cpu[i], digits);
  });
});

test('a value that is read late is that of its own step', async () => {
  const curve = async (every: number) => {
    const values = new Map<number, number>();
    const afterStep = (report: StepReport) => {
      if (report.step % every === 0) values.set(report.step, report.loss);
    };
    await (await trained({ device: 'fake:0', steps: 6, afterStep })).running;
    return values;
  };
  const [all, some] = [await curve(1), await curve(3)];
  expect([...some]).toEqual([3, 6].map((step) => [step, all.get(step)]));
});

describe('a loss that is not finite', () => {
  const FAILED = /^PT: the loss is NaN at step 3 \(images 16, 17, /;

  test.each(['cpu', 'fake:0'])('on %s: named, and no weight has changed', async (device) => {
    const good = await trained({ device, steps: 2 });
    await good.running;
    const seen: number[] = [];
    const afterStep = ({ step }: StepReport) => void seen.push(step);
    const bad = await trained({ device, steps: 3, poisoned: 2, afterStep });
    await expect(bad.running).rejects.toThrow(FAILED);
    expect(bad.weights()).toEqual(good.weights());
    const moments = [...bad.optimizer.state()].filter(([name]) => name !== 'step');
    expect(moments).toEqual([...good.optimizer.state()].filter(([name]) => name !== 'step'));
    // On the CPU the failed step is not reported at all.
    expect(seen).toEqual(device === 'cpu' ? [1, 2] : [1, 2, 3]);
  });

  test('is noticed one step later if nobody reads it, and all weights are finite', async () => {
    const seen: number[] = [];
    const afterStep = ({ step }: StepReport) => void seen.push(step);
    const bad = await trained({ device: 'fake:0', steps: 9, poisoned: 2, afterStep });
    await expect(bad.running).rejects.toThrow(FAILED);
    expect(seen).toEqual([1, 2, 3]);
    for (const data of bad.weights()) expect(new Float32Array(data.buffer).every(Number.isFinite)).toBe(true);
  });

  test('is noticed at once by code that is about to use the weights', async () => {
    const afterStep = (report: StepReport) => report.requireFinite();
    const bad = await trained({ device: 'fake:0', steps: 9, poisoned: 2, afterStep });
    await expect(bad.running).rejects.toThrow(FAILED);
  });

  test('with an optimiser that cannot skip a step: before the step', async () => {
    const optimizerOf = (groups: ReturnType<typeof decayGroups>) => sgd(groups, { momentum: 0.9 });
    const good = await trained({ device: 'fake:0', steps: 2, optimizerOf });
    await good.running;
    const bad = await trained({ device: 'fake:0', steps: 3, poisoned: 2, optimizerOf });
    await expect(bad.running).rejects.toThrow(FAILED);
    expect(bad.weights()).toEqual(good.weights());
  });
});

test('the milliseconds of a step include the wait for its values', async () => {
  const steps: number[][] = [];
  const afterStep = (report: StepReport) => {
    const before = report.milliseconds;
    report.requireFinite();
    steps.push([before, report.milliseconds]);
  };
  await (await trained({ device: 'fake:0', steps: 2, afterStep })).running;
  for (const [before, after] of steps) expect(after).toBeGreaterThan(before);
});

test('no tensors of a step are left if the next data is missing', async () => {
  const context = { device: 'fake:0', steps: 5 };
  const ending = async function* () {
    yield batchOf(0);
    yield batchOf(1);
  };
  const { running } = await trained({ ...context, accumulate: 3, batches: ending() });
  const before = liveHandles();
  await expect(running).rejects.toThrow('PT: ran out of data at step 0 of 5');
  // Mean and standard deviation, and the generator of the noise, which live as long as the task.
  expect(liveHandles() - before).toBeLessThanOrEqual(3);
});

test('evaluation queues the next batch before it reads a score', async () => {
  const { model, task, running } = await trained({ device: 'fake:0', steps: 1 });
  await running;
  const counts: Record<string, number>[] = [];
  async function* some(): AsyncIterable<Batch> {
    for (let i = 0; i < 4; i++) {
      counts.push(fake.take());
      const { size, channels, height, width, images, labels, indices } = batchOf(i);
      yield { size, channels, height, width, images, labels, indices };
    }
    counts.push(fake.take());
  }
  const scores = await evaluate({ model, task, batches: some(), device: 'fake:0' });
  expect(scores.images).toBe(4 * BATCH);
  for (const batch of counts.slice(1)) expect(waits(batch)).toEqual({ blocking: 0, reads: 0 });
});
