import { expect, test } from 'vitest';
import { CHI_SQUARED_LIMIT, chiSquared, countsOf, KS_LIMIT, ksStatistic } from '../../../test/statistics.js';
import { randomStream } from '../../base/random.js';
import { colorJitter } from './deit-transform.js';
import type { PixelStep } from './pixels.js';

const SIZE = { width: 4, height: 3, channels: 3 } as const;

function programs(strength: number) {
  return Array.from({ length: 6000 }, (_, i) => colorJitter(strength)(SIZE, randomStream([i])));
}

const factorsOf = (steps: readonly PixelStep[], op: string) =>
  steps.flatMap((step) => ('factor' in step && step.op === op ? [step.factor] : []));

test.each([
  [0.4, 0.6, 1.4],
  [1.5, 0, 2.5],
])('strength %d: each factor uniform in %d ... %d', (strength, low, high) => {
  const steps = programs(strength).flat();
  for (const op of ['brightness', 'contrast', 'color']) {
    const factors = factorsOf(steps, op);
    expect(factors).toHaveLength(6000);
    expect(ksStatistic(factors, (x) => Math.min(Math.max((x - low) / (high - low), 0), 1))).toBeLessThan(
      KS_LIMIT,
    );
  }
});

test('all six orders are equally likely', () => {
  const orders = ['b c s', 'b s c', 'c b s', 'c s b', 's b c', 's c b'];
  const letters: Record<string, string> = { brightness: 'b', contrast: 'c', color: 's' };
  const drawn = programs(0.4).map((program) => program.map(({ op }) => letters[op]).join(' '));
  expect(chiSquared(countsOf(orders, drawn), new Array(6).fill(1 / 6))).toBeLessThan(CHI_SQUARED_LIMIT[5]);
});

test('the three factors are drawn independently', () => {
  for (const program of programs(0.4).slice(0, 100)) {
    expect(new Set(program.map((step) => 'factor' in step && step.factor)).size).toBe(3);
  }
});

test('no strength, no step and no draw', () => {
  const none = { uniform: () => Number.NaN, integer: () => Number.NaN };
  expect(colorJitter(0)(SIZE, none)).toEqual([]);
});
