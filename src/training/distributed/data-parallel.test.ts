import { beforeAll, expect, test } from 'vitest';
import { type RankEnding, type Refusal, ranks } from '../../../test/ranks.js';

interface Trained {
  readonly losses: number[];
  readonly norms: number[];
  readonly weights: Record<string, number[]>;
  readonly reductions?: number;
  readonly leaked: number;
}

// Six micro-batches a step, with drop path; they and the dropped paths depend only on (step, micro-batch).
const SETTINGS = { micros: 6, steps: 5 };
/** A device whose values the trainer reads a step late. */
const OTHER = 'fake:0';
let alone: Trained;

beforeAll(async () => {
  [{ value: alone }] = await ranks<Trained>(1, 'training', SETTINGS);
});

function trained(endings: readonly RankEnding<Trained>[]): Trained[] {
  expect(endings.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
    endings.map(() => ({ code: 0, stderr: '' })),
  );
  return endings.map(({ value }) => value);
}

test.each([
  [2, {}, 1],
  [2, { bucketBytes: 1500, firstBucketBytes: 500 }, 5],
  [3, { bucketBytes: 4000, firstBucketBytes: 500 }, 3],
])('%i processes train as one at the same effective batch, buckets %j', async (size, buckets, least) => {
  const all = trained(await ranks<Trained>(size, 'training', { ...SETTINGS, buckets }));
  for (const { losses, norms, weights, reductions, leaked } of all) {
    expect(leaked).toBe(0);
    expect(reductions).toBe(all[0].reductions);
    expect(reductions).toBeGreaterThanOrEqual(least);
    for (const [step, loss] of losses.entries()) {
      expect(Math.abs(loss / alone.losses[step] - 1)).toBeLessThan(1e-6);
      expect(Math.abs(norms[step] / alone.norms[step] - 1)).toBeLessThan(1e-5);
    }
    for (const [name, values] of Object.entries(alone.weights)) {
      expect(maxDifference(weights[name], values), name).toBeLessThan(1e-5);
    }
    // Bit-identical in all processes: otherwise copies would drift apart unnoticed.
    expect(weights).toEqual(all[0].weights);
    expect(losses).toEqual(all[0].losses);
  }
});

test('activation checkpointing, which has several backward passes, changes no number', async () => {
  const settings = { ...SETTINGS, buckets: { bucketBytes: 1500, firstBucketBytes: 500 } };
  const [plain] = trained(await ranks<Trained>(2, 'training', settings));
  const all = trained(await ranks<Trained>(2, 'training', { ...settings, checkpointing: true }));
  for (const { losses, weights } of all) {
    expect(losses).toEqual(plain.losses);
    for (const [name, values] of Object.entries(plain.weights)) {
      expect(maxDifference(weights[name], values), name).toBeLessThan(1e-6);
    }
  }
});

test('on a device whose values are read a step late, two processes train as one', async () => {
  const all = trained(await ranks<Trained>(2, 'training', { ...SETTINGS, device: OTHER }));
  for (const { losses, norms, weights, leaked } of all) {
    // The task keeps its mean and standard deviation on the device.
    expect(leaked).toBe(2);
    expect(maxDifference(losses, alone.losses)).toBeLessThan(1e-5);
    expect(maxDifference(norms, alone.norms)).toBeLessThan(1e-4);
    for (const [name, values] of Object.entries(alone.weights)) {
      expect(maxDifference(weights[name], values), name).toBeLessThan(1e-4);
    }
    expect(weights).toEqual(all[0].weights);
  }
});

test.each(['cpu', OTHER])(
  'on %s, a loss that is not finite in one process ends all at the same step',
  async (device) => {
    const endings = await ranks<Refusal>(2, 'training', { ...SETTINGS, device, nonFiniteAt: 2 });
    for (const { code, value } of endings) {
      expect({ code, error: value.error }).toEqual({ code: 1, error: 'RunError' });
    }
    expect(endings[0].value.message).toBe('E2E: the gradient norm is NaN at step 3');
    expect(endings[1].value.message).toMatch(/^E2E: the loss is NaN at step 3 \(images /);
  },
);

test('a process that dies during training ends the others', async () => {
  const settings = { ...SETTINGS, dieAt: 3, timeoutSeconds: 60 };
  const endings = await ranks<Refusal>(3, 'training', settings);
  expect(endings[2].signal).toBe('SIGKILL');
  for (const [rank, { code, value, stderr }] of endings.slice(0, 2).entries()) {
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(value).toMatchObject({ error: 'LostRank' });
    expect(value.message).toMatch(new RegExp(`^rank ${rank} of 3: .*(closed by peer|reset by peer)`));
  }
});

test.each([
  ['shapes', [[2, 3]], [[3, 2]], 'params[0] in this process with sizes [3, 2]'],
  ['numbers', [[2], [2]], [[2]], 'expects same model across all ranks'],
])('models that differ in %s are refused', async (_, first, second, message) => {
  const endings = await ranks<Refusal>(2, 'shapes', { shapes: [first, second] });
  for (const { code, value } of endings) {
    expect(code).toBe(1);
    expect(value.error).toBe('LostRank');
  }
  expect(endings[1].value.message).toContain(message);
});

test('a parameter that the loss does not depend on is named', async () => {
  const endings = await ranks<Refusal>(2, 'unused');
  for (const { value } of endings) {
    expect(value).toMatchObject({ error: 'RunError' });
    expect(value.message).toMatch(/^unused has no gradient/);
  }
});

test('buffers start as those of rank 0, and are synchronised on request', async () => {
  const [first, second] = await ranks<unknown>(2, 'buffers');
  expect(first.value).toEqual({ first: [0, 5, 10], changed: [1, 6, 11], shared: [1, 6, 11] });
  expect(second.value).toEqual({ first: [0, 5, 10], changed: [2, 7, 12], shared: [1, 6, 11] });
});

function maxDifference(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value - b[i])));
}
