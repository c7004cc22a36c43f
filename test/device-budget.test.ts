import { beforeAll, describe, expect, test } from 'vitest';
import type { Batch } from '../src/data/dataset.js';
import { liveHandles } from '../src/torch/scope.js';
import type { DataParallel } from '../src/training/distributed/data-parallel.js';
import { evaluate } from '../src/training/evaluate.js';
import type { decayGroups } from '../src/training/optimizers/optimizer.js';
import { sgd } from '../src/training/optimizers/sgd.js';
import type { StepReport } from '../src/training/step-values.js';
import type { Predictions } from '../src/training/task.js';
import { BATCH, batchOf, type Case, trained, waits } from './device-training.js';
import { loadFake } from './test-device.js';

// Operations of a step on a device other than the CPU: none that wait for the device, unless a value is needed at once.

let fake: ReturnType<typeof loadFake>;
beforeAll(() => {
  fake = loadFake();
});

/**
 * Data parallel with one process: everything but the transfer between processes, which needs NCCL on a GPU. Gloo refuses the
 * fake accelerator's tensors.
 */
const ONE_PROCESS: DataParallel = {
  group: {
    rank: 0,
    size: 1,
    localRank: 0,
    device: 'fake:0',
    allReduce: () => {},
    broadcast: () => {},
    exchange: (numbers) => [...numbers],
    barrier: () => {},
    reducer: () => {
      throw new Error('not used');
    },
    together: (work) => work(),
    close: () => {},
  },
  reduce: (backward) => backward(),
  shareBuffers: () => {},
  free: () => {},
};

describe.each<[string, Partial<Case>]>([
  ['a step', {}],
  ['a step with clipped gradients', { clipGrad: 1 }],
  ['a step of several micro-batches', { accumulate: 3, clipGrad: 1 }],
  ['a step in bfloat16', { precision: 'bfloat16', clipGrad: 1 }],
  ['a step with activation checkpointing', { activationCheckpointing: true }],
  ['a step of a hybrid', { isHybrid: true, clipGrad: 1 }],
  ['a step of data parallel', { parallel: ONE_PROCESS, accumulate: 2, clipGrad: 1 }],
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

  test('is the error even if the data end after it', async () => {
    const ending = async function* () {
      yield batchOf(0);
      yield { ...batchOf(1), mix: { lambda: Number.NaN } };
    };
    const bad = await trained({ device: 'fake:0', steps: 9, batches: ending() });
    await expect(bad.running).rejects.toThrow(/^PT: the loss is NaN at step 2 /);
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

describe.each([false, true])('an evaluation, with predictions: %s', (isPredicting) => {
  async function evaluated(device: string) {
    const { model, task, running } = await trained({ device, steps: 1 });
    await running;
    const counts: Record<string, number>[] = [];
    const seen: (Predictions & { readonly first: number })[] = [];
    async function* some(): AsyncIterable<Batch> {
      for (let i = 0; i < 4; i++) {
        counts.push(fake.take());
        const { size, channels, height, width, images, labels, indices } = batchOf(i);
        yield { size, channels, height, width, images, labels, indices };
      }
      counts.push(fake.take());
    }
    const onPredicted = ({ indices }: Batch, { k, labels, classes, probabilities, logits }: Predictions) =>
      void seen.push({ first: indices[0], k, labels, classes, probabilities, logits });
    const scores = await evaluate({
      model,
      task,
      batches: some(),
      device,
      ...(isPredicting && { onPredicted }),
    });
    return { scores, counts, seen };
  }

  test('has no blocking copies or reads between batches, and the results of the CPU', async () => {
    const [cpu, { scores, counts, seen }] = [await evaluated('cpu'), await evaluated('fake:0')];
    expect(scores.images).toBe(4 * BATCH);
    for (const batch of counts.slice(1)) expect(waits(batch)).toEqual({ blocking: 0, reads: 0 });
    // The fake accelerator computes with the CPU's kernels, but trained a step first.
    expect(scores.loss).toBeCloseTo(cpu.scores.loss, 5);
    expect(seen).toHaveLength(isPredicting ? 4 : 0);
    for (const [i, { logits, probabilities, ...exact }] of seen.entries()) {
      const expected = cpu.seen[i];
      expect(exact).toEqual({
        first: expected.first,
        k: 3,
        labels: expected.labels,
        classes: expected.classes,
      });
      for (const [at, value] of logits.entries()) expect(value).toBeCloseTo(expected.logits[at], 5);
      for (const [at, value] of probabilities.entries())
        expect(value).toBeCloseTo(expected.probabilities[at], 5);
    }
  });
});
