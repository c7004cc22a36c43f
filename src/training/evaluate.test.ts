import { describe, expect, test } from 'vitest';
import { DEVICE } from '../../test/test-device.js';
import type { Batch } from '../data/dataset.js';
import { classification } from '../tasks/classification/classification.js';
import { linear, ones, reshape } from '../torch/ops.js';
import { liveHandles } from '../torch/scope.js';
import { fromArray, type Tensor } from '../torch/tensor.js';
import { confusionCounter } from './confusion-counter.js';
import { evaluate } from './evaluate.js';
import type { Predictions } from './task.js';

/** Images whose pixels over 255 are the logits of their classes. */
function batchOf(rows: readonly (readonly number[])[], labels: readonly number[]): Batch {
  const size = rows.length;
  return {
    size,
    channels: 1,
    height: 1,
    width: rows[0].length,
    images: Uint8Array.from(rows.flat()),
    labels: Int32Array.from(labels),
    indices: Int32Array.from({ length: size }, (_, i) => i),
  };
}

function run(
  batches: readonly Batch[],
  precision: 'float32' | 'bfloat16' = 'float32',
  forward?: (x: Tensor) => Tensor,
  onPredicted?: (batch: Batch, predictions: Predictions) => void,
) {
  const classes = batches[0]?.width ?? 1;
  async function* stream(): AsyncGenerator<Batch> {
    yield* batches;
  }
  const seen: boolean[] = [];
  const result = evaluate({
    model: {
      forward(x, pass) {
        seen.push(pass.training);
        return forward?.(x) ?? reshape(x, [-1, classes]);
      },
    },
    task: classification({ channels: 1, classes, mean: [0], std: [1], labelSmoothing: 0.1, device: DEVICE }),
    batches: stream(),
    precision,
    device: DEVICE,
    ...(onPredicted && { onPredicted }),
  });
  return { result, seen };
}

const crossEntropy = (row: readonly number[], label: number) =>
  Math.log(row.reduce((sum, pixel) => sum + Math.exp(pixel / 255), 0)) - row[label] / 255;

describe('evaluate', () => {
  // Ten images: eight of the first batch are right and two wrong; of the short last one, none is right.
  const full = Array.from({ length: 10 }, (_, i) => [0, 200, 100].map((pixel) => pixel + i));
  const short = [
    [255, 0, 10],
    [255, 20, 0],
  ];
  const batches = [batchOf(full, [1, 1, 1, 1, 1, 1, 1, 1, 0, 2]), batchOf(short, [1, 2])];

  test('a short last batch counts by its size', async () => {
    const { result, seen } = run(batches);
    const { top1, top5, loss, images } = await result;
    const labels = [...batches[0].labels, ...batches[1].labels];
    const losses = [...full, ...short].map((row, i) => crossEntropy(row, labels[i]));
    expect(images).toBe(12);
    expect(top1).toBeCloseTo((100 * 8) / 12, 10);
    // Of three classes every one is among the first five.
    expect(top5).toBe(100);
    expect(loss).toBeCloseTo(losses.reduce((a, b) => a + b) / 12, 6);
    expect(seen).toEqual([false, false]);
  });

  test('returns the prediction and probability of each image, without changing the scores', async () => {
    const counter = confusionCounter(3);
    const seen: Predictions[] = [];
    const { result } = run(batches, 'float32', undefined, (_, predictions) => {
      counter.add(predictions);
      seen.push(predictions);
    });
    expect(await result).toEqual(await run(batches).result);
    // Ten images of the first batch are predicted as class 1, two of the second as class 0.
    expect(counter.counts()).toEqual([
      [0, 1, 1],
      [1, 0, 1],
      [1, 1, 8],
      [2, 0, 1],
      [2, 1, 1],
    ]);
    expect([...seen[1].classes]).toEqual([0, 2, 1, 0, 1, 2]);
    const likely = (row: readonly number[]) => Math.exp(-crossEntropy(row, row.indexOf(Math.max(...row))));
    expect(seen[1].probabilities[0]).toBeCloseTo(likely(short[0]), 6);
    expect(seen[1].probabilities.slice(0, 3).reduce((a, b) => a + b)).toBeCloseTo(1, 12);
  });

  test('top-5 of seven classes', async () => {
    const row = [70, 60, 50, 40, 30, 20, 10];
    const { top1, top5 } = await run([batchOf([row, row, row, row], [0, 4, 5, 6])]).result;
    expect(top1).toBe(25);
    expect(top5).toBe(50);
  });

  test('records nothing and frees everything', async () => {
    const weight = ones([3, 3], 'F32', DEVICE);
    weight.requiresGrad = true;
    const outputs: Tensor[] = [];
    const before = liveHandles();
    await run(batches, 'float32', (x) => {
      const y = linear(reshape(x, [-1, 3]), weight, null);
      expect(y.requiresGrad).toBe(false);
      outputs.push(y);
      return y;
    }).result;
    // The generator's own handle, until it is collected, and on a GPU the task's mean and standard deviation.
    expect(liveHandles() - before).toBeLessThanOrEqual(DEVICE === 'cpu' ? 1 : 3);
    expect(outputs.every((output) => output.isFreed)).toBe(true);
  });

  test('in bfloat16 only matrix products are rounded; scores are exact sums', async () => {
    const identity = fromArray(Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1), [3, 3], DEVICE);
    const dtypes = new Set<string>();
    const { top1, loss } = await run(batches, 'bfloat16', (x) => {
      const y = linear(reshape(x, [-1, 3]), identity, null);
      dtypes.add(y.dtype);
      return y;
    }).result;
    const exact = await run(batches).result;
    expect([...dtypes]).toEqual(['BF16']);
    expect(top1).toBe(exact.top1);
    expect(Math.abs(loss - exact.loss)).toBeLessThan(2e-3);
    expect(loss).not.toBe(exact.loss);
  });

  test('without images is refused', async () => {
    await expect(run([]).result).rejects.toThrow('no images to evaluate on');
  });
});

test('timers and signals are handled between batches, whatever their source', async () => {
  const seen: number[] = [];
  let turns = 0;
  const count = () => {
    turns += 1;
    pending = setImmediate(count);
  };
  let pending = setImmediate(count);
  const batches = Array.from({ length: 4 }, () => batchOf([[0, 1]], [0]));
  await run(batches, 'float32', (x) => {
    seen.push(turns);
    return reshape(x, [-1, 2]);
  }).result;
  clearImmediate(pending);
  for (const [i, turn] of seen.entries()) if (i > 0) expect(turn).toBeGreaterThan(seen[i - 1]);
});
