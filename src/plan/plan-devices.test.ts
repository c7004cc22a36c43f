import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Job, type Network, schedule, sharesOf, stepTimeOn } from './plan-devices.js';

const FREE: Network = { bandwidth: Number.POSITIVE_INFINITY, overlap: 0 };

function job(name: string, needs: readonly string[], time: number, microBatches = 1): Job {
  return { name, needs, steps: 10, microBatches, stepTime: time / 10, gradientBytes: 1000 };
}

describe('on paper', () => {
  // PT 8; modules 6, 4, 3, 3; FT 8. All shared by 8 micro-batches at most.
  const modules = [6, 4, 3, 3].map((time, i) => job(`MT/${i}`, ['PT'], time, 8));
  const jobs = [
    job('PT', [], 8, 8),
    ...modules,
    job(
      'FT',
      modules.map(({ name }) => name),
      8,
      8,
    ),
  ];

  test('one device runs the jobs in sequence', () => {
    const { wall, utilisation, deviceTime, critical } = schedule(jobs, 1, FREE);
    expect(wall).toBeCloseTo(32, 12);
    expect(deviceTime).toBeCloseTo(32, 12);
    expect(utilisation).toBeCloseTo(1, 12);
    expect(critical.names).toEqual(['PT', 'MT/0', 'FT']);
    expect(critical.time).toBeCloseTo(22, 12);
  });

  test('eight devices with free exchange: phases in sequence on all of them', () => {
    const { wall, placed } = schedule(jobs, 8, FREE);
    // 8/8 + 16/8 + 8/8; beside each other, on 2 each, the modules would take 6/2.
    expect(wall).toBeCloseTo(4, 12);
    expect(placed[0]).toMatchObject({ name: 'PT', devices: 8, start: 0, end: 1 });
    expect(placed.at(-1)).toMatchObject({ name: 'FT', devices: 8, start: 3 });
  });

  test('longest first if jobs cannot be shared', () => {
    const alone = [5, 4, 3, 3, 3].map((time, i) => job(`MT/${i}`, ['PT'], time));
    const { wall, placed, critical, utilisation } = schedule(alone, 2, FREE);
    // 5 | 4 3 | 3 -> 5 3 | 4 3, then 3 on the first that is free: 4 + 3 = 7.
    expect(wall).toBeCloseTo(10, 12);
    expect(placed.map(({ start }) => start)).toEqual([0, 0, 4, 5, 7]);
    expect(critical).toEqual({ names: ['MT/0'], time: 5 });
    expect(utilisation).toBeCloseTo(18 / 20, 12);
  });

  test('additional devices go to the longest module', () => {
    const network = { bandwidth: 1000, overlap: 0 };
    // Exchanging takes 2 (n-1)/n seconds a step: sharing pays only for the long one.
    const two = [{ ...job('MT/0', [], 1000, 4) }, { ...job('MT/1', [], 10, 4) }];
    const { placed } = schedule(two, 5, network);
    expect(placed.map(({ devices }) => devices)).toEqual([4, 1]);
    expect(placed[0].end).toBeCloseTo(10 * (25 + 1.5), 9);
  });

  test('a step: micro-batches, and the part of the all-reduce that is not hidden', () => {
    // 8 micro-batches of 0.5 s; 3 GB on 4 devices: 2 x 3/4 x 3 = 4.5 s at 1 GB/s, of which 0.25 s are hidden.
    const step = { ...job('FT', [], 0, 8), stepTime: 4, gradientBytes: 3e9 };
    expect(stepTimeOn(step, 4, { bandwidth: 1e9, overlap: 0.5 })).toBeCloseTo(1 + 4.5 - 0.25, 12);
    expect(stepTimeOn(step, 1, { bandwidth: 1, overlap: 0 })).toBe(4);
    expect(stepTimeOn(step, 4, { bandwidth: 1e12, overlap: 0.5 })).toBe(1);
    // A step of the optimiser of half a second is repeated by each.
    expect(stepTimeOn({ ...step, updateTime: 0.5 }, 4, FREE)).toBe(3.5 / 4 + 0.5);
    const shares = sharesOf({ ...step, updateTime: 0.5, startTime: 7 }, FREE, 4);
    expect(shares.map(({ time }) => time)).toEqual([7 + 40, 7 + 22.5, 7 + 13.75]);
  });

  test('devices share a step evenly, and only if it is faster', () => {
    const shares = (microBatches: number, network: Network) =>
      sharesOf(job('PT', [], 100, microBatches), network, 100).map(({ devices }) => devices);
    expect(shares(12, FREE)).toEqual([1, 2, 3, 4, 6, 12]);
    expect(shares(1, FREE)).toEqual([1]);
    expect(shares(4, { bandwidth: 10, overlap: 0 })).toEqual([1]);
  });

  test('cyclic jobs are refused', () => {
    expect(() => schedule([job('a', ['b'], 1), job('b', ['a'], 1)], 1, FREE)).toThrow(RangeError);
  });
});

describe('whatever the run', () => {
  const anyJob = fc.record({
    steps: fc.integer({ min: 1, max: 1000 }),
    microBatches: fc.constantFrom(1, 2, 3, 4, 6, 8, 12, 64, 512),
    stepTime: fc.double({ min: 1e-3, max: 10, noNaN: true }),
    updateTime: fc.double({ min: 0, max: 1e-3, noNaN: true }),
    startTime: fc.double({ min: 0, max: 10, noNaN: true }),
    gradientBytes: fc.integer({ min: 0, max: 1e9 }),
  });
  const anyNetwork = fc.record({
    bandwidth: fc.constantFrom(1e6, 1e9, 1e12, Number.POSITIVE_INFINITY),
    overlap: fc.constantFrom(0, 0.5, 0.66),
  });
  const anyRun = fc
    .tuple(anyJob, fc.array(anyJob, { minLength: 1, maxLength: 6 }), anyJob)
    .map(([pretraining, modules, tuning]): Job[] => {
      const names = modules.map((_, i) => `MT/${i}`);
      return [
        { ...pretraining, name: 'PT', needs: [] },
        ...modules.map((module, i) => ({ ...module, name: names[i], needs: ['PT'] })),
        { ...tuning, name: 'FT', needs: names },
      ];
    });
  const devices = fc.integer({ min: 1, max: 520 });
  const SLACK = 1 + 1e-9;

  test('the bounds hold', () => {
    fc.assert(
      fc.property(anyRun, devices, anyNetwork, (jobs, n, network) => {
        const found = schedule(jobs, n, network);
        const work = jobs.reduce((sum, { steps, stepTime }) => sum + steps * stepTime, 0);
        expect(found.wall * SLACK).toBeGreaterThanOrEqual(found.critical.time);
        expect(found.wall * SLACK).toBeGreaterThanOrEqual(work / n);
        const starts = jobs.reduce((sum, { startTime = 0 }) => sum + startTime, 0);
        expect(found.wall).toBeLessThanOrEqual((work + starts) * SLACK);
        expect(found.utilisation).toBeLessThanOrEqual(SLACK);
        expect(found.deviceTime * SLACK).toBeGreaterThanOrEqual(work);
        expect(found.deviceTime).toBeLessThanOrEqual(n * found.wall * SLACK);
      }),
    );
  });

  test('every job runs once, after its dependencies, on its own devices', () => {
    fc.assert(
      fc.property(anyRun, devices, anyNetwork, (jobs, n, network) => {
        const { placed } = schedule(jobs, n, network);
        expect(placed.map(({ name }) => name).sort()).toEqual(jobs.map(({ name }) => name).sort());
        for (const a of placed) {
          const { needs, microBatches } = jobs.find(({ name }) => name === a.name) as Job;
          for (const b of placed.filter(({ name }) => needs.includes(name)))
            expect(a.start).toBeGreaterThanOrEqual(b.end);
          expect(microBatches % a.devices).toBe(0);
          expect(a.from + a.devices).toBeLessThanOrEqual(n);
          for (const b of placed.filter((each) => each !== a)) {
            const shareDevices = a.from < b.from + b.devices && b.from < a.from + a.devices;
            expect(shareDevices && a.start < b.end && b.start < a.end).toBe(false);
          }
        }
      }),
    );
  });

  test('more devices never take longer', () => {
    fc.assert(
      fc.property(anyRun, devices, devices, anyNetwork, (jobs, a, b, network) => {
        const [few, many] = [Math.min(a, b), Math.max(a, b)].map((n) => schedule(jobs, n, network).wall);
        expect(many).toBeLessThanOrEqual(few * SLACK);
      }),
    );
  });
});
