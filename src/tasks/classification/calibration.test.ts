import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { calibrationCounter } from './calibration.js';

interface Case {
  readonly bins: number;
  readonly labels: readonly number[];
  readonly predicted: readonly number[];
  readonly confidence: readonly number[];
  readonly ece: number;
  readonly mce: number;
}

// Made by test/fixtures/make-calibration.py with torchmetrics.
const { cases }: { cases: Case[] } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/calibration.json', import.meta.url), 'utf8'),
);

const predictions = (
  labels: readonly number[],
  predicted: readonly number[],
  confidence: readonly number[],
) => ({
  k: 1,
  labels: Int32Array.from(labels),
  classes: Int32Array.from(predicted),
  probabilities: Float64Array.from(confidence),
  logits: new Float64Array(labels.length),
});

test.each(cases)(
  '$bins bins, $ece: as in torchmetrics',
  ({ bins, labels, predicted, confidence, ece, mce }) => {
    const counter = calibrationCounter(bins);
    // In two batches.
    counter.add(predictions(labels.slice(0, 7), predicted.slice(0, 7), confidence.slice(0, 7)));
    counter.add(predictions(labels.slice(7), predicted.slice(7), confidence.slice(7)));
    const found = counter.result();
    expect(Math.abs((found?.ece ?? Number.NaN) - ece)).toBeLessThan(1e-6);
    expect(Math.abs((found?.mce ?? Number.NaN) - mce)).toBeLessThan(1e-6);
    expect(found?.bins.reduce((sum, { images }) => sum + images, 0)).toBe(labels.length);
  },
);

test('by hand: confidence 0.8, three of four right; confidence 1, wrong', () => {
  const counter = calibrationCounter(10);
  counter.add(predictions([0, 0, 0, 1], [0, 0, 0, 0], [0.8, 0.8, 0.8, 0.8]));
  counter.add(predictions([0], [1], [1]));
  const { ece, mce, bins } = counter.result() ?? { ece: Number.NaN, mce: Number.NaN, bins: [] };
  expect(ece).toBeCloseTo((4 * 0.05 + 1) / 5, 7);
  expect(mce).toBeCloseTo(1, 12);
  expect(bins.filter(({ images }) => images > 0)).toEqual([
    { from: 0.8, to: 0.9, images: 4, confidence: Math.fround(0.8), accuracy: 0.75 },
    { from: 1, to: 1, images: 1, confidence: 1, accuracy: 0 },
  ]);
});

test('without images there is no result', () => {
  expect(calibrationCounter().result()).toBeUndefined();
});
