import { expect, test } from 'vitest';
import { FULL_RUN, syntheticRecords } from '../../test/synthetic-run.js';
import type { MetricRecord } from '../run/records.js';
import { classificationMetrics } from '../tasks/classification/metrics.js';
import { accuracyCurves, lossCurves } from './curves.js';

const evaluation = (phase: string, block_passes: number, top1: number): MetricRecord => ({
  kind: 'eval',
  phase,
  epoch: 0,
  step: block_passes,
  top1,
  top5: 90,
  loss: 1,
  images: 0,
  block_passes,
  seconds: 2 * block_passes,
});

const phase = (name: string, ...points: [number, number][]) => ({
  phase: name,
  records: points.map(([cost, top1]) => evaluation(name, cost, top1)),
});

const { primary } = classificationMetrics();
const RUN = [
  phase('PT', [10, 50], [20, 60]),
  phase('MT/0', [5, 62]),
  phase('MT/1', [0, 58], [7, 63]),
  phase('FT', [0, 55], [30, 80]),
  phase('E2E', [25, 40], [60, 75]),
];

test('phases of Deep Incubation follow one another on the cost axis, the baseline starts at 0', () => {
  const curves = accuracyCurves(RUN, 'block_passes', primary);
  expect(curves.map(({ phase, role, start, end }) => [phase, role, start, end])).toEqual([
    ['PT', 'meta', 0, 20],
    ['MT/0', 'hybrid', 20, 25],
    ['MT/1', 'hybrid', 25, 32],
    ['FT', 'assembled', 32, 62],
    ['E2E', 'end_to_end', 0, 60],
  ]);
  expect(curves[3].points).toEqual([
    { x: 32, y: 55 },
    { x: 62, y: 80 },
  ]);
  expect(curves[4].points[1]).toEqual({ x: 60, y: 75 });
  expect(accuracyCurves(RUN, 'seconds', primary)[3].points[0].x).toBe(64);
});

test('steps after the last evaluation count as cost', () => {
  const step: MetricRecord = {
    ...(syntheticRecords(FULL_RUN[0])[0] as Extract<MetricRecord, { kind: 'step' }>),
    block_passes: 28,
  };
  const [pt, ...rest] = RUN;
  const curves = accuracyCurves(
    [{ phase: 'PT', records: [...pt.records, step] }, ...rest],
    'block_passes',
    primary,
  );
  expect(curves[1].start).toBe(28);
});

test('losses are plotted over epochs; long curves are averaged and keep their mean', () => {
  const records = syntheticRecords({ phase: 'PT', epochs: 40, top1: [0, 50], passes: 12 });
  const steps = records.filter((record) => record.kind === 'step');
  const [curve] = lossCurves([{ phase: 'PT', records }], steps.length / 4);
  expect(curve.train).toHaveLength(steps.length / 4);
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  expect(mean(curve.train.map(({ y }) => y))).toBeCloseTo(mean(steps.map(({ loss }) => loss)), 10);
  expect(curve.evaluation).toHaveLength(40);
  expect(curve.evaluation[39].x).toBeCloseTo(40, 1);
  expect(lossCurves([{ phase: 'FT', records: [] }])).toEqual([]);
});
