import { expect, test } from 'vitest';
import { stageEnds, stageOfStep } from './schedule.js';

const stages = (...untils: number[]) => untils.map((until) => ({ until, low_pass: false }));

test('stages end at whole steps, the last one with the phase', () => {
  expect(stageEnds(stages(0.25, 0.6, 1), 24)).toEqual([6, 14, 24]);
  expect(stageEnds(stages(0.25, 0.6, 1), 1)).toEqual([0, 1, 1]);
  expect(stageEnds(stages(1), 7)).toEqual([7]);
});

test('every step has the stage that it falls in', () => {
  const ends = stageEnds(stages(0.25, 0.6, 1), 20);
  const found = Array.from({ length: 20 }, (_, step) => stageOfStep(ends, step));
  expect(found).toEqual([...Array(5).fill(0), ...Array(7).fill(1), ...Array(8).fill(2)]);
  expect(stageOfStep(ends, 25)).toBe(2);
});

test('a stage that is too short for a step is left out', () => {
  const ends = stageEnds(stages(0.01, 0.5, 1), 4);
  expect([0, 1, 2, 3].map((step) => stageOfStep(ends, step))).toEqual([1, 1, 2, 2]);
});
