import fc from 'fast-check';
import { expect, test } from 'vitest';
import { earlyStop } from './early-stop.js';

test.each<[string, number[], number, boolean]>([
  ['nothing evaluated yet', [], 0, false],
  ['rising', [1, 2, 3, 4, 5], 0, false],
  ['one short of the patience', [5, 4, 3], 0, false],
  ['the patience used up', [5, 4, 3, 4.9], 0, true],
  ['a tie is not better', [5, 5, 5, 5], 0, true],
  ['better at the last', [5, 4, 3, 5.1], 0, false],
  ['not by enough', [5, 4, 3, 5.1], 0.2, true],
  ['little by little, enough in all', [5, 5.1, 5.2, 5.3], 0.25, false],
  ['not a number is not better', [5, Number.NaN, Number.NaN, Number.NaN], 0, true],
])('patience 3: %s', (_, scores, minDelta, stops) => {
  expect(earlyStop({ patience: 3, minDelta })(scores)).toBe(stops);
});

test('a run that stops as soon as requested has its best score `patience` evaluations before', () => {
  const score = fc.integer({ min: 0, max: 20 });
  fc.assert(
    fc.property(fc.array(score, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (scores, patience) => {
      const stop = earlyStop({ patience });
      const end = scores.findIndex((_, i) => stop(scores.slice(0, i + 1)));
      const run = end < 0 ? scores : scores.slice(0, end + 1);
      const waited = run.length - 1 - run.indexOf(Math.max(...run));
      if (end >= 0) expect(waited).toBe(patience);
      else if (run.length > 0) expect(waited).toBeLessThan(patience);
    }),
  );
});
