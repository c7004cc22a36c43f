import { beforeEach, expect, test } from 'vitest';
import { createProgressSender, createWatch, progressMessage, type Vitals } from './process-watch.js';

const TIMING = { lookMs: 1000, idleMs: 10_000, stuckMs: 60_000, graceMs: 5000, savingGraceMs: 100_000 };
const STILL: Vitals = { cpuMs: 0, bytes: 0, isWaiting: false, isStopped: false };

let clock: number;
let vitals: Vitals | undefined;
beforeEach(() => {
  clock = 0;
  vitals = STILL;
});

const watch = () => createWatch(1, TIMING, { vitals: () => vitals, now: () => clock });

/** Looks `times` times, once per second; `seen` gives the vitals of each look. @returns the result of the last look */
function look(
  subject: ReturnType<typeof watch>,
  times: number,
  seen: (i: number) => Partial<Vitals> = () => ({}),
) {
  let result: string | undefined;
  for (let i = 1; i <= times; i++) {
    clock += 1000;
    vitals = { ...STILL, ...seen(i) };
    result = subject.look();
  }
  return result;
}

/** Training steps of `ms` milliseconds each. */
function train(subject: ReturnType<typeof watch>, steps: number, ms: number) {
  for (let i = 0; i < steps; i++) {
    clock += ms;
    subject.mark('training');
  }
}

test('a process that is idle for long hangs; its state is reported', () => {
  const subject = watch();
  expect(look(subject, 10)).toBeUndefined();
  expect(look(subject, 1)).toBe('it was idle for 10 s');
  const stopped = watch();
  expect(look(stopped, 11, () => ({ isStopped: true }))).toBe('it was stopped for 10 s');
});

test.each<[string, (i: number) => Partial<Vitals>]>([
  ['a hundredth of a core', (i) => ({ cpuMs: 10 * i })],
  ['64 KiB a look', (i) => ({ bytes: 65_536 * i })],
  ['a wait for a disk', () => ({ isWaiting: true })],
  ['work now and then', (i) => ({ cpuMs: 10 * Math.floor(i / 9) })],
])('%s counts as activity', (_, seen) => {
  expect(look(watch(), 5000, seen)).toBeUndefined();
});

test.each<[string, (i: number) => Partial<Vitals>]>([
  ['the wake-ups of idle threads', (i) => ({ cpuMs: 9 * i, bytes: 1000 * i })],
  ['work that has ended', (i) => ({ cpuMs: Math.min(i, 30) * 500 })],
])('%s does not count as activity', (_, seen) => {
  expect(look(watch(), 41, seen)).toMatch(/^it was idle/);
});

test('a gap between checks, as after a suspended machine, counts as one check', () => {
  const subject = watch();
  look(subject, 5);
  clock += 10_000_000;
  expect(look(subject, 5)).toBeUndefined();
});

test('a progress message counts as activity, even if no CPU time is used', () => {
  const subject = watch();
  for (let i = 0; i < 100; i++) {
    subject.mark('evaluating');
    expect(look(subject, 9)).toBeUndefined();
  }
});

test('a process with long steps may be idle for 20 of them', () => {
  const subject = watch();
  train(subject, 5, 3000);
  expect(look(subject, 60)).toBeUndefined();
  expect(look(subject, 1)).toBe('it was idle for 60 s');
});

test('busy without a step: hung after 50 times the longest step, once steps were measured', () => {
  const busy = (i: number) => ({ cpuMs: 1000 * i });
  const subject = watch();
  train(subject, 12, 2000);
  expect(look(subject, 99, busy)).toBeUndefined();
  expect(look(subject, 1, () => ({ cpuMs: 1e6 }))).toBe('no step in 100 s; the longest so far took 2.0 s');
  const quick = watch();
  train(quick, 12, 10);
  expect(look(quick, 59, busy)).toBeUndefined();
  expect(look(quick, 1, () => ({ cpuMs: 1e6 }))).toMatch(/^no step in 60 s/);
});

test.each([
  ['before it has reported steps', 0, undefined],
  ['before many steps', 5, undefined],
  ['while it evaluates', 20, 'evaluating'],
  ['while it saves', 20, 'saving'],
] as const)('busy %s: never hung', (_, steps, doing) => {
  const subject = watch();
  train(subject, steps, 10);
  if (doing !== undefined) subject.mark(doing);
  expect(look(subject, 100_000, (i) => ({ cpuMs: 1000 * i }))).toBeUndefined();
});

test('the time of an evaluation or a checkpoint does not count as a step', () => {
  const subject = watch();
  train(subject, 20, 10);
  subject.mark('evaluating');
  train(subject, 1, 1_000_000);
  train(subject, 5, 10);
  expect(look(subject, 60, (i) => ({ cpuMs: 1000 * i }))).toMatch(/the longest so far took 0.010 s/);
});

test('if the system provides no data, nothing is concluded', () => {
  const subject = createWatch(1, TIMING, { vitals: () => undefined, now: () => clock });
  for (let i = 0; i < 1000; i++) expect(subject.look()).toBeUndefined();
});

test('asked to stop: ten seconds, or three steps, or as long as a checkpoint takes', () => {
  const subject = watch();
  expect(subject.overdue(4999)).toBeUndefined();
  expect(subject.overdue(5000)).toBe('it did not exit within 5.0 s');
  train(subject, 2, 4000);
  expect(subject.overdue(11_999)).toBeUndefined();
  expect(subject.overdue(12_000)).toBe('it did not exit within 12 s');
  subject.mark('saving');
  expect(subject.overdue(99_999)).toBeUndefined();
  expect(subject.overdue(100_000)).toBe('it did not exit within 100 s');
});

test('progress is reported at most once a second, and at once when the activity changes', () => {
  const sent: unknown[] = [];
  const report = createProgressSender(
    (message) => sent.push(progressMessage.parse(message).doing),
    () => clock,
  );
  for (; clock <= 2000; clock += 100) report('training');
  report('saving');
  report('training');
  expect(sent).toEqual(['training', 'training', 'training', 'saving', 'training']);
});
