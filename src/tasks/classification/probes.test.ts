import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { liveHandles } from '../../torch/scope.js';
import { rowsInMemory } from './feature-rows.js';
import { neighbourSearch } from './knn.js';
import type { KnnMetric } from './knn-metrics.js';
import { topHits, votes } from './knn-vote.js';
import { fitLogisticRegression, type LinearProbe, probeLogits } from './logistic-regression.js';

interface Case {
  readonly width: number;
  /** Number of labels. */
  readonly classes: number;
  readonly train: readonly number[];
  readonly labels: readonly number[];
  readonly queries: readonly number[];
  readonly targets: readonly number[];
  readonly k: number;
  readonly majority: Readonly<Record<KnnMetric, { votes: readonly number[]; accuracy: number }>>;
  readonly weighted: readonly number[];
  readonly c: number;
  readonly coefficients: readonly number[];
  readonly intercept: readonly number[];
  readonly probabilities: readonly number[];
  readonly accuracy: number;
}

// Made by test/fixtures/make-probes.py with scikit-learn.
const { cases }: { cases: Case[] } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/probes.json', import.meta.url), 'utf8'),
);

function search({ width, train, labels, queries, k }: Case, metric: KnnMetric, parts = 3) {
  const found = neighbourSearch(Float32Array.from(queries), { width, k, metric });
  const size = Math.ceil(labels.length / parts);
  for (let from = 0; from < labels.length; from += size) {
    const end = Math.min(from + size, labels.length);
    const rows = Float32Array.from(train.slice(from * width, end * width));
    found.add(rows, Int32Array.from(labels.slice(from, end)));
  }
  const result = found.result();
  found.free();
  return result;
}

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]) / Math.max(1, Math.abs(b[i]))));
};

describe.each(cases)('$classes labels, $width features', (given) => {
  const { classes, k, c, weighted, majority } = given;
  const targets = Int32Array.from(given.targets);

  test.each(['cosine', 'euclidean'] as const)('majority vote, %s: as KNeighborsClassifier', (metric) => {
    const counts = votes(search(given, metric), { k, classes, vote: { kind: 'majority' } });
    const shares = counts.map((count) => count / k);
    expect(largestDifference(shares, majority[metric].votes)).toBeLessThan(1e-6);
    expect((100 * topHits(counts, targets, { classes })[0]) / targets.length).toBeCloseTo(
      majority[metric].accuracy,
      9,
    );
  });

  test('weighted vote: as DINO', () => {
    const found = votes(search(given, 'cosine'), {
      k,
      classes,
      vote: { kind: 'weighted', temperature: 0.07 },
    });
    expect(largestDifference(found, weighted)).toBeLessThan(1e-6);
  });

  test('linear probe: as LogisticRegression, and no tensor is left', async () => {
    const before = liveHandles();
    const rows = rowsInMemory(Float32Array.from(given.train), Int32Array.from(given.labels));
    const probe = await fitLogisticRegression(rows, { c });
    expect(liveHandles()).toBe(before);
    expect(probe.isConverged).toBe(true);
    expect([...probe.labels]).toEqual([...new Set(given.labels)].sort((a, b) => a - b));
    const found = probabilities(probe, given);
    expect(largestDifference(found, given.probabilities)).toBeLessThan(1e-6);
    const { weight, bias } = probe.labels.length === 2 ? difference(probe) : centred(probe);
    expect(largestDifference(weight, given.coefficients)).toBeLessThan(1e-6);
    expect(largestDifference(bias, given.intercept)).toBeLessThan(1e-6);
  });
});

function probabilities(probe: LinearProbe, { queries }: Case): number[] {
  const logits = probeLogits(probe, Float32Array.from(queries));
  const classes = probe.labels.length;
  return Array.from(logits, (logit, i) => {
    const row = logits.subarray(i - (i % classes), i - (i % classes) + classes);
    return 1 / row.reduce((sum, other) => sum + Math.exp(other - logit), 0);
  });
}

/** Of two classes, scikit-learn has one row of coefficients. */
function difference({ weight, bias }: LinearProbe) {
  const width = weight.length / 2;
  return {
    weight: Array.from({ length: width }, (_, i) => weight[width + i] - weight[i]),
    bias: [bias[1] - bias[0]],
  };
}

/** A constant added to all intercepts changes nothing. */
function centred({ weight, bias }: LinearProbe) {
  const mean = bias.reduce((a, b) => a + b) / bias.length;
  return { weight, bias: bias.map((value) => value - mean) };
}

test('neighbours do not depend on how the training rows are divided; of equal rows, the first is nearest', () => {
  const [given] = cases;
  expect(search(given, 'cosine', 1).labels).toEqual(search(given, 'cosine', 7).labels);
  const found = neighbourSearch(Float32Array.of(1, 2), { width: 2, k: 2, metric: 'euclidean' });
  found.add(Float32Array.of(5, 5, 1, 3), Int32Array.of(3, 2));
  found.add(Float32Array.of(1, 3), Int32Array.of(1));
  expect([...found.result().labels]).toEqual([2, 1]);
  expect([...found.result().similarities]).toEqual([-1, -1]);
  found.free();
});

test('scores: ties go to the lower label; a class without votes is never predicted', () => {
  const targets = Int32Array.of(0, 1, 2);
  const scores = Float64Array.of(1, 1, 0, 1, 1, 0, 1, 1, 0);
  expect(topHits(scores, targets, { classes: 3 })).toEqual([1, 2]);
});

test('training rows of one class, and features that are not finite, are errors', async () => {
  const rows = (value: number, labels: Int32Array) => rowsInMemory(Float32Array.of(1, value, 3), labels);
  await expect(fitLogisticRegression(rows(2, Int32Array.of(4, 4, 4)))).rejects.toThrow(
    'at least two classes',
  );
  await expect(fitLogisticRegression(rows(Number.NaN, Int32Array.of(0, 1, 1)))).rejects.toThrow('not finite');
});
