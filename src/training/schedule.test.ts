import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { goldenJson } from '../../test/support.js';
import {
  blendedCosine,
  epochCosine,
  multiStep,
  polynomial,
  type Schedule,
  stepCosine,
  wsd,
} from './schedule.js';

interface Official {
  readonly epochs: number;
  readonly warmup_epochs: number;
  readonly scaled_lr: number;
  readonly warmup_lr: number;
  readonly min_lr: number;
  readonly lr_used_in_epoch: number[];
}

const golden = goldenJson<Record<'PT' | 'MT' | 'FT', Official>>('d_lr.json');

test.each(['PT', 'MT', 'FT'] as const)('epochCosine: the official rate of every epoch of %s', (phase) => {
  const official = golden[phase];
  const stepsPerEpoch = 625;
  const schedule = epochCosine({
    lr: official.scaled_lr,
    warmupLr: official.warmup_lr,
    minLr: official.min_lr,
    epochs: official.epochs,
    warmupEpochs: official.warmup_epochs,
    stepsPerEpoch,
  });
  expect(official.lr_used_in_epoch).toHaveLength(official.epochs);
  for (const [epoch, lr] of official.lr_used_in_epoch.entries()) {
    for (const step of [0, 1, stepsPerEpoch - 1]) {
      expect(Math.abs(schedule(epoch * stepsPerEpoch + step) - lr), `epoch ${epoch}`).toBeLessThan(1e-12);
    }
  }
});

test("blendedCosine: the rates of InfoPro's code, constant within an epoch", () => {
  const stepsPerEpoch = 3;
  const lr = blendedCosine({
    lr: 0.1,
    warmupLr: 0.01,
    minLr: 0,
    epochs: 160,
    warmupEpochs: 10,
    stepsPerEpoch,
  });
  // Computed with Python from `adjust_learning_rate`, for epochs counted from 1.
  const official = [
    [1, 0.01],
    [2, 0.018996145181203614],
    [5, 0.04590369453344394],
    [10, 0.09013533761814538],
    [11, 0.09883829406604362],
    [80, 0.05],
    [159, 9.637975896759077e-6],
    [160, 0],
  ];
  for (const [epoch, rate] of official) {
    for (const step of [0, 1, 2]) {
      expect(lr((epoch - 1) * stepsPerEpoch + step), `epoch ${epoch}`).toBeCloseTo(rate, 14);
    }
  }
  // A phase may have a part of an epoch at its end.
  expect(lr(160 * stepsPerEpoch)).toBe(0);
  const plain = blendedCosine({ lr: 1, warmupLr: 0, minLr: 0.5, epochs: 2, warmupEpochs: 0, stepsPerEpoch });
  expect([0, 2, 3].map(plain)).toEqual([0.75, 0.75, 0.5]);
});

const options = fc
  .record({ steps: fc.integer({ min: 1, max: 400 }), warmup: fc.double({ min: 0, max: 1, noNaN: true }) })
  .map(({ steps, warmup }) => ({
    steps,
    warmupSteps: Math.floor(warmup * (steps - 1)),
    lr: 1e-3,
    warmupLr: 1e-6,
    minLr: 1e-5,
  }));
type Options = typeof options extends fc.Arbitrary<infer T> ? T : never;

/** Properties of every schedule: finite, rising to the peak at the last warm-up step, then not rising, never above the peak. */
function expectShape(schedule: Schedule, o: Omit<Options, 'minLr'>): number[] {
  const rates = Array.from({ length: o.steps }, (_, step) => schedule(step));
  for (const [i, rate] of rates.entries()) {
    expect(rate).toBeGreaterThan(0);
    expect(rate).toBeLessThanOrEqual(o.lr + 1e-18);
    if (i === 0) continue;
    if (i < o.warmupSteps) expect(rate).toBeGreaterThan(rates[i - 1]);
    else expect(rate).toBeLessThanOrEqual(rates[i - 1] + 1e-18);
  }
  if (o.warmupSteps > 0) {
    expect(rates[0]).toBeGreaterThan(o.warmupLr);
    expect(rates[o.warmupSteps - 1]).toBeCloseTo(o.lr, 15);
  }
  return rates;
}

describe('stepCosine', () => {
  test('rises to the peak at the last warm-up step, then falls, to the minimum at the last step', () => {
    fc.assert(
      fc.property(options, (o) => {
        const rates = expectShape(stepCosine(o), o);
        expect(rates[o.warmupSteps]).toBeCloseTo(o.lr, 15);
        if (o.steps - o.warmupSteps > 1) expect(rates[o.steps - 1]).toBeCloseTo(o.minLr, 15);
      }),
    );
  });

  test('is halfway between peak and minimum in the middle', () => {
    const schedule = stepCosine({ lr: 3, warmupLr: 0, minLr: 1, steps: 15, warmupSteps: 4 });
    expect(schedule(3)).toBe(3);
    expect(schedule(0)).toBe(0.75);
    expect(schedule(9)).toBeCloseTo(2, 12);
    expect(schedule(14)).toBeCloseTo(1, 12);
    expect(schedule(99)).toBeCloseTo(1, 12);
  });
});

describe('polynomial', () => {
  test('rises to the peak, then falls, to the minimum at the last step', () => {
    fc.assert(
      fc.property(options, fc.double({ min: 0.1, max: 5, noNaN: true }), (o, power) => {
        const rates = expectShape(polynomial({ ...o, power }), o);
        expect(rates[o.warmupSteps]).toBeCloseTo(o.lr, 15);
        if (o.steps - o.warmupSteps > 1) expect(rates[o.steps - 1]).toBeCloseTo(o.minLr, 15);
      }),
    );
  });

  test('falls as the remaining share to the power', () => {
    const schedule = polynomial({ lr: 9, warmupLr: 0, minLr: 1, steps: 14, warmupSteps: 3, power: 2 });
    expect([0, 1, 2].map(schedule)).toEqual([3, 6, 9]);
    // Ten steps down: 1 + 8 (1 - k/10)^2.
    for (const [k, rate] of [9, 7.48, 6.12, 4.92, 3.88, 3, 2.28, 1.72, 1.32, 1.08, 1].entries()) {
      expect(schedule(3 + k)).toBeCloseTo(rate, 12);
    }
    expect(schedule(99)).toBe(1);
  });

  test('power 1 is a line: equal falls', () => {
    const schedule = polynomial({ lr: 1, warmupLr: 0, minLr: 0, steps: 11, warmupSteps: 0, power: 1 });
    for (let step = 0; step < 11; step++) expect(schedule(step)).toBeCloseTo((10 - step) / 10, 12);
  });
});

describe('multiStep', () => {
  test('falls by the factor as each milestone begins (Mask R-CNN, 12 epochs)', () => {
    const schedule = multiStep({
      lr: 1e-4,
      warmupLr: 1e-7,
      warmupSteps: 500,
      milestones: [8, 11],
      factor: 0.1,
      stepsPerEpoch: 7330,
    });
    expect(schedule(249)).toBeCloseTo(5.005e-5, 15);
    const places = [499, 500, 8 * 7330 - 1, 8 * 7330, 11 * 7330 - 1, 11 * 7330, 12 * 7330 - 1];
    for (const [i, rate] of [1e-4, 1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6].entries()) {
      expect(schedule(places[i]), `step ${places[i]}`).toBeCloseTo(rate, 15);
    }
  });

  test('milestones may be unordered, fractions, or empty', () => {
    const rest = { lr: 1, warmupLr: 0, warmupSteps: 0, factor: 0.5, stepsPerEpoch: 4 };
    expect([0, 1, 2, 3, 4, 5].map(multiStep({ ...rest, milestones: [1, 0.5] }))).toEqual([
      1, 1, 0.5, 0.5, 0.25, 0.25,
    ]);
    expect(multiStep({ ...rest, milestones: [] })(1000)).toBe(1);
  });

  test('rises to the peak, then only falls', () => {
    fc.assert(
      fc.property(
        options,
        fc.array(fc.double({ min: 0, max: 50, noNaN: true }), { maxLength: 5 }),
        fc.integer({ min: 1, max: 30 }),
        (o, milestones, stepsPerEpoch) => {
          expectShape(multiStep({ ...o, milestones, factor: 0.3, stepsPerEpoch }), o);
        },
      ),
    );
  });
});

describe('wsd', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true });
  const kind = fc.constantFrom('linear' as const, '1-sqrt' as const);

  test('rises to the peak, stays, and falls over the last share, to the minimum at the last step', () => {
    fc.assert(
      fc.property(options, share, kind, (o, decayShare, decay) => {
        const rates = expectShape(wsd({ ...o, decayShare, decay }), o);
        const below = rates.slice(o.warmupSteps).filter((rate) => rate < o.lr).length;
        expect(below).toBe(Math.min(Math.round(decayShare * o.steps), o.steps - o.warmupSteps));
        if (below > 0) expect(rates[o.steps - 1]).toBeCloseTo(o.minLr, 15);
      }),
    );
  });

  test('linear: equal falls; 1-sqrt: faster at first', () => {
    const rest = { lr: 5, warmupLr: 0, minLr: 1, steps: 20, warmupSteps: 2, decayShare: 0.2 };
    const linear = wsd({ ...rest, decay: 'linear' });
    expect([0, 1, 2, 15].map(linear)).toEqual([2.5, 5, 5, 5]);
    expect([16, 17, 18, 19, 20].map(linear)).toEqual([4, 3, 2, 1, 1]);
    const root = wsd({ ...rest, decay: '1-sqrt' });
    expect(root(15)).toBe(5);
    // 1 + 4 (1 - sqrt(k/4))
    for (const [i, rate] of [3, 2.1715728752538097, 1.5358983848622456, 1].entries()) {
      expect(root(16 + i)).toBeCloseTo(rate, 12);
    }
  });

  test('a decay that is too long starts after the warm-up, at the peak', () => {
    const rest = { lr: 4, warmupLr: 0, minLr: 0, steps: 6, warmupSteps: 2 };
    const schedule = wsd({ ...rest, decayShare: 1, decay: 'linear' });
    expect([0, 1, 2, 3, 4, 5].map(schedule)).toEqual([2, 4, 3, 2, 1, 0]);
  });

  test('without a decay the rate is constant, also after the end', () => {
    const schedule = wsd({
      lr: 1,
      warmupLr: 0,
      minLr: 0,
      steps: 9,
      warmupSteps: 1,
      decayShare: 0,
      decay: 'linear',
    });
    expect([0, 5, 8, 100].map(schedule)).toEqual([1, 1, 1, 1]);
  });
});
