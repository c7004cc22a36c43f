import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { maxDifference, numbers } from '../../../test/support.js';
import { permutation } from '../../base/random.js';
import type { TensorData } from '../../base/tensor-data.js';
import { scope } from '../../torch/scope.js';
import { fromArray, fromData, type Tensor } from '../../torch/tensor.js';
import { readSafetensors } from '../../weights/safetensors/safetensors.js';
import { makeAnchors } from './anchors.js';
import { boxIou, clipBoxes, decodeBoxes, encodeBoxes } from './boxes.js';
import { matchBoxes } from './match-boxes.js';
import { nms, nmsOnDevice } from './nms.js';
import { sampleBoxes } from './sample-boxes.js';

// What test/fixtures/make-detection.py has computed with torchvision and detectron2's rules.
const path = fileURLToPath(new URL('../../../test/fixtures/detection.safetensors', import.meta.url));
const { tensors } = readSafetensors(path);
const dataOf = (name: string) => tensors.get(name) as TensorData;
const tensorOf = (name: string) => fromData(dataOf(name));
const listOf = (name: string) => numbers(dataOf(name));

/** Largest difference, of values below 1 absolute, of others relative. */
function difference(tensor: Tensor, name: string): number {
  const expected = listOf(name);
  const scaled = (values: readonly number[]) =>
    values.map((value, i) => value / Math.max(1, Math.abs(expected[i])));
  return maxDifference(scaled(numbers(tensor.toData())), scaled(expected));
}

describe('boxes', () => {
  test("are encoded, decoded and compared as torchvision's", () => {
    scope(() => {
      const [truths, sources] = ['coder.truths', 'coder.sources'].map(tensorOf);
      const weights = [10, 10, 5, 5] as const;
      expect(difference(encodeBoxes(truths, sources, weights), 'coder.encoded')).toBeLessThan(1e-6);
      expect(
        difference(decodeBoxes(tensorOf('coder.offsets'), sources, weights), 'coder.decoded'),
      ).toBeLessThan(1e-6);
      expect(difference(boxIou(truths, sources), 'coder.iou')).toBeLessThan(1e-6);
      const there = decodeBoxes(encodeBoxes(truths, sources, weights), sources, weights);
      expect(difference(there, 'coder.truths')).toBeLessThan(1e-5);
    });
  });

  test('are cut off at the sides of the image', () => {
    const box = fromArray(Float32Array.of(-1, 2, 30, 40), [1, 4]);
    expect([...clipBoxes(box, { width: 20, height: 10 }).toFloat32Array()]).toEqual([0, 2, 20, 10]);
  });

  test("anchors are detectron2's, not rounded, by place", () => {
    const anchors = makeAnchors({ height: 3, width: 4, stride: 8, size: 64 });
    expect([...anchors]).toEqual(listOf('anchors'));
    expect(anchors.slice(0, 12).some((each) => !Number.isInteger(each))).toBe(true);
  });
});

describe('matches', () => {
  const best = listOf('matcher.best');
  const match = (options: Parameters<typeof matchBoxes>[2]) =>
    scope(() => matchBoxes(tensorOf('matcher.boxes'), tensorOf('matcher.truths'), options));

  test.each([
    ['rpn', { positive: 0.7, negative: 0.3, allowLowQuality: true }],
    ['roi', { positive: 0.5 }],
  ] as const)("%s: torchvision's", (name, options) => {
    const { truths, labels } = match(options);
    expect([...truths]).toEqual(best);
    // torchvision gives the truth, -1 for negative, -2 for ignored.
    const expected = listOf(`matcher.${name}`);
    expect([...labels].map((label, i) => (label === 1 ? truths[i] : label - 1))).toEqual(
      expected.map((each) => each),
    );
    expect(new Set(labels)).toEqual(new Set(name === 'rpn' ? [1, 0, -1] : [1, 0]));
  });

  test('all boxes with the highest IoU of a truth are positive', () => {
    const { labels } = match({ positive: 0.7, negative: 0.3, allowLowQuality: true });
    expect([...labels.slice(-2)]).toEqual([1, 1]);
    expect([...match({ positive: 0.7, negative: 0.3 }).labels.slice(-2)]).toEqual([0, 0]);
  });

  test('without truths, all boxes are negative', () => {
    const none = fromArray(new Float32Array(0), [0, 4]);
    expect([...matchBoxes(tensorOf('matcher.boxes'), none, { positive: 0.5 }).labels]).toEqual(
      best.map(() => 0),
    );
  });
});

describe('samples', () => {
  const labels = Int8Array.from({ length: 1000 }, (_, i) => [1, 0, 0, -1][i % 4]);
  const draw = (count: number, key = 'a') => sampleBoxes(labels, { count, positiveShare: 0.25, key: [key] });

  test('have the right labels, number and share', () => {
    const { positive, negative } = draw(400);
    expect([positive.length, negative.length]).toEqual([100, 300]);
    expect([...positive].every((i) => labels[i] === 1)).toBe(true);
    expect([...negative].every((i) => labels[i] === 0)).toBe(true);
    expect(new Set([...positive, ...negative]).size).toBe(400);
  });

  test('missing positives are filled with negatives, missing negatives are not filled', () => {
    const few = Int8Array.of(1, 0, 0, 0, 0, 0, 0);
    expect(sampleBoxes(few, { count: 4, positiveShare: 0.5, key: [] }).negative).toHaveLength(3);
    const { positive, negative } = draw(4000);
    expect([positive.length, negative.length]).toEqual([250, 500]);
  });

  test('depend only on the key, and every box can be drawn', () => {
    expect(draw(400)).toEqual(draw(400));
    expect(draw(400)).not.toEqual(draw(400, 'b'));
    const counts = new Map<number, number>();
    for (let key = 0; key < 500; key++) {
      for (const i of draw(400, `${key}`).positive) counts.set(i, (counts.get(i) ?? 0) + 1);
    }
    expect(counts.size).toBe(250);
    expect(Math.min(...counts.values())).toBeGreaterThan(140);
    expect(Math.max(...counts.values())).toBeLessThan(260);
  });
});

describe('non-maximum suppression', () => {
  const [boxes, scores] = ['nms.boxes', 'nms.scores'].map((name) => Float32Array.from(listOf(name)));
  const [counts, thresholds, keptCounts] = ['counts', 'thresholds', 'keptCounts'].map((each) =>
    listOf(`nms.${each}`),
  );
  const sumBefore = (all: readonly number[], i: number) => all.slice(0, i).reduce((a, b) => a + b, 0);
  const cases = counts.map((count, i) => {
    const [start, first] = [sumBefore(counts, i), sumBefore(keptCounts, i)];
    return {
      boxes: boxes.slice(4 * start, 4 * (start + count)),
      scores: scores.slice(start, start + count),
      threshold: thresholds[i],
      kept: listOf('nms.kept').slice(first, first + keptCounts[i]),
    };
  });

  test("equals torchvision's on 120 sets, half of them with equal scores", () => {
    expect(cases).toHaveLength(120);
    for (const each of cases) expect([...nms(each.boxes, each.scores, each.threshold)]).toEqual(each.kept);
  });

  test('on the device, the same', () => {
    for (const each of cases) {
      expect(onDevice(each.boxes, each.scores, each.threshold)).toEqual(each.kept);
    }
  });

  test('by class: each class independently of the others', () => {
    for (const [i, each] of cases.entries()) {
      const order = permutation(each.scores.length, ['classes', i]);
      const classes = order.map((place) => place % 3);
      const alone = [0, 1, 2].flatMap((name) => {
        const indices = [...classes.keys()].filter((box) => classes[box] === name);
        const own = Float32Array.from(indices.flatMap((box) => [...each.boxes.slice(4 * box, 4 * box + 4)]));
        const kept = nms(
          own,
          Float32Array.from(indices, (box) => each.scores[box]),
          each.threshold,
        );
        return [...kept].map((place) => indices[place]);
      });
      const expected = alone.sort((a, b) => each.scores[b] - each.scores[a] || a - b);
      expect([...nms(each.boxes, each.scores, each.threshold, classes)]).toEqual(expected);
      expect(onDevice(each.boxes, each.scores, each.threshold, classes)).toEqual(expected);
    }
  });

  test('an IoU equal to a threshold that float32 rounds up is not above it', () => {
    const three = Float32Array.of(0, 0, 10, 10, 0, 0, 10, 3);
    for (const threshold of [0.3, Math.fround(0.3), 0.29999]) {
      const kept = threshold === 0.29999 ? [0] : threshold === 0.3 ? [0] : [0, 1];
      expect([...nms(three, Float32Array.of(2, 1), threshold)]).toEqual(kept);
      expect(onDevice(three, Float32Array.of(2, 1), threshold)).toEqual(kept);
    }
  });

  function onDevice(
    boxes: Float32Array,
    scores: Float32Array,
    threshold: number,
    classes?: ArrayLike<number>,
  ): number[] {
    return scope(() => {
      const names = classes && fromArray(BigInt64Array.from(Array.from(classes), BigInt), [classes.length]);
      const all = fromArray(boxes, [scores.length, 4]);
      const kept = nmsOnDevice(all, fromArray(scores, [scores.length]), threshold, names);
      return Array.from(new BigInt64Array(kept.toData().data.buffer), Number);
    });
  }
});
