import fc from 'fast-check';
import { expect, test } from 'vitest';
import { confusionOf, hitsOf, packHits } from '../../run/confusion.js';
import { confusionCounter } from '../../training/confusion-counter.js';
import { classScores, confusions, worstClasses } from './class-scores.js';

const CLASSES = 5;
const label = fc.nat({ max: CLASSES - 1 });

test('scores and confusions equal counts image by image', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(label, label), { minLength: 1, maxLength: 60 }), (images) => {
      const counter = confusionCounter(CLASSES);
      const [labels, classes] = [0, 1].map((at) => Int32Array.from(images.map((pair) => pair[at])));
      const probabilities = new Float64Array(images.length);
      counter.add({ k: 1, labels, classes, probabilities, logits: probabilities });
      const counts = counter.counts();
      for (const score of classScores({ counts })) {
        const own = images.filter(([target]) => target === score.class);
        expect(score.images).toBe(own.length);
        expect(score.top1).toBeCloseTo((100 * own.filter(([a, b]) => a === b).length) / own.length, 10);
      }
      const scores = worstClasses({ counts }, CLASSES).map(({ top1 }) => top1);
      expect(scores).toEqual(scores.toSorted((a, b) => a - b));
      const wrong = confusions({ counts });
      expect(wrong.reduce((sum, row) => sum + row[2], 0)).toBe(images.filter(([a, b]) => a !== b).length);
    }),
  );
});

test('a file with classes that the model does not have is ignored', () => {
  const whole = { step: 1, classes: 2, counts: [[0, 1, 3]] };
  expect(confusionOf(whole)).toEqual(whole);
  for (const counts of [[[0, 2, 3]], [[0, 1]], [[0, 1, -1]], 'x']) {
    expect(confusionOf({ ...whole, counts })).toBeUndefined();
  }
  expect(confusionOf(null)).toBeUndefined();
});

test('hits of images are stored as bits, also if they do not fill the last byte', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 1 }), { minLength: 1, maxLength: 70 }), (images) => {
      const confusion = { step: 1, classes: 2, counts: [], hits: packHits(Uint8Array.from(images)) };
      expect([...(hitsOf(confusion, images.length) ?? [])]).toEqual(images);
      expect(hitsOf(confusion, images.length + 8)).toBeUndefined();
      expect(hitsOf({ ...confusion, hits: undefined }, images.length)).toBeUndefined();
    }),
  );
});
