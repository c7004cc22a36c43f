import { expect, test } from 'vitest';
import { type EtaPhase, parallelOf, runSecondsLeft } from './run-eta.js';

/** A phase of 100 block-passes. */
const phase = (name: string, state: EtaPhase['state'], more: Partial<EtaPhase> = {}): EtaPhase => ({
  phase: name,
  state,
  waits_for: [],
  seconds: 0,
  block_passes: 0,
  planned_block_passes: 100,
  seconds_left: null,
  ...more,
});
const done = (name: string, seconds: number) => phase(name, 'done', { seconds, block_passes: 100 });
const PLAN = [
  phase('PT', 'running', { seconds: 10, block_passes: 20, seconds_left: 40 }),
  phase('MT/0', 'waiting', { waits_for: ['PT'] }),
  phase('MT/1', 'waiting', { waits_for: ['PT'] }),
  phase('FT', 'waiting', { waits_for: ['MT/0', 'MT/1'], planned_block_passes: 60 }),
  phase('E2E', 'waiting', { planned_block_passes: 300 }),
];

test('before the first step the time is unknown; after the last it is 0', () => {
  expect(runSecondsLeft([phase('PT', 'running'), phase('FT', 'waiting')], 'auto')).toBeNull();
  expect(runSecondsLeft([done('PT', 3), done('FT', 4)], 'auto')).toBe(0);
});

test('without a plan, the time is unknown', () => {
  const unplanned = phase('FT', 'waiting', { planned_block_passes: 0 });
  expect(runSecondsLeft([done('PT', 3), unplanned], 'auto')).toBeNull();
});

test('phases one after another, at the measured speed: half a second per block-pass', () => {
  expect(runSecondsLeft(PLAN, 'auto')).toBe(40 + 50 + 50 + 30 + 150);
  expect(runSecondsLeft(PLAN, 1)).toBe(40 + 50 + 50 + 30 + 150);
});

test('two at a time: the baseline runs beside the modules', () => {
  // PT and E2E start; MT/0 starts at 40, MT/1 at 90, FT at 140.
  expect(runSecondsLeft(PLAN, 2)).toBe(170);
  // E2E, MT/0 and MT/1 until 90, FT until 120, E2E until 150.
  expect(runSecondsLeft(PLAN, 3)).toBe(150);
});

test('auto: as many modules at a time as run now, at the speed of the modules', () => {
  const [, , , ft, e2e] = PLAN;
  const running = (name: string, left: number) =>
    phase(name, 'running', { seconds: 30, block_passes: 30, seconds_left: left });
  const phases = [
    done('PT', 50),
    running('MT/0', 70),
    running('MT/1', 60),
    phase('MT/2', 'waiting'),
    ft,
    e2e,
  ];
  // MT/2 takes 100 s from second 60. FT and E2E run at the mean speed of PT: 0.5 s.
  expect(runSecondsLeft(phases, 'auto')).toBe(160 + 30 + 150);
});

test('a stopped phase continues from where it was, at its own speed', () => {
  const stopped = phase('FT', 'stopped', { seconds: 20, block_passes: 10 });
  expect(runSecondsLeft([done('PT', 50), stopped], 'auto')).toBe(180);
});

test('run.parallel of a recipe', () => {
  expect([{ run: { parallel: 3 } }, { run: { parallel: 'auto' } }, {}, null].map(parallelOf)).toEqual([
    3,
    'auto',
    'auto',
    'auto',
  ]);
});
