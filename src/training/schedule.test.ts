import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { goldenJson } from '../../test/support.js';
import { epochCosine, stepCosine } from './schedule.js';

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

describe('stepCosine', () => {
  const options = fc
    .record({ steps: fc.integer({ min: 1, max: 400 }), warmup: fc.double({ min: 0, max: 1, noNaN: true }) })
    .map(({ steps, warmup }) => ({
      ...{ steps, warmupSteps: Math.floor(warmup * (steps - 1)) },
      ...{ lr: 1e-3, warmupLr: 1e-6, minLr: 1e-5 },
    }));

  test('rises to the peak at the last warm-up step, then falls, to the minimum at the last step', () => {
    fc.assert(
      fc.property(options, (o) => {
        const schedule = stepCosine(o);
        const rates = Array.from({ length: o.steps }, (_, step) => schedule(step));
        for (let i = 1; i < o.steps; i++) {
          if (i < o.warmupSteps) expect(rates[i]).toBeGreaterThan(rates[i - 1]);
          else expect(rates[i]).toBeLessThanOrEqual(rates[i - 1] + 1e-18);
        }
        if (o.warmupSteps > 0) {
          expect(rates[0]).toBeGreaterThan(o.warmupLr);
          expect(rates[o.warmupSteps - 1]).toBeCloseTo(o.lr, 15);
        }
        expect(rates[o.warmupSteps]).toBeCloseTo(o.lr, 15);
        if (o.steps - o.warmupSteps > 1) expect(rates[o.steps - 1]).toBeCloseTo(o.minLr, 15);
        for (const rate of rates) expect(rate).toBeLessThanOrEqual(o.lr + 1e-18);
      }),
    );
  });

  test('is half way between peak and minimum in the middle', () => {
    const schedule = stepCosine({ lr: 3, warmupLr: 0, minLr: 1, steps: 15, warmupSteps: 4 });
    expect(schedule(3)).toBe(3);
    expect(schedule(0)).toBe(0.75);
    expect(schedule(9)).toBeCloseTo(2, 12);
    expect(schedule(14)).toBeCloseTo(1, 12);
    expect(schedule(99)).toBeCloseTo(1, 12);
  });
});
