import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type CocoCases, cocoCases, freshCocoCases } from '../../../test/coco-cases.js';
import { testFolder } from '../../../test/fixtures/data-fixture.js';
import { needs, python } from '../../../test/needs.js';
import { InputError } from '../../base/errors.js';
import { type CocoAnnotations, readCocoAnnotations } from '../../data/coco/annotations.js';
import { readCocoResults } from '../../data/coco/results.js';
import { cocoEvaluate } from './coco-evaluate.js';

const folder = testFolder();

function open({ truths, results }: CocoCases['sets'][number]) {
  folder.write('truths.json', JSON.stringify(truths));
  folder.write('results.json', JSON.stringify(results));
  const known = readCocoAnnotations(join(folder.path, 'truths.json'));
  return { truths: known, results: readCocoResults(join(folder.path, 'results.json'), known) };
}

function largestDifference({ sets }: CocoCases): number {
  const differences = sets.flatMap((each) => {
    const { truths, results } = open(each);
    return (['boxes', 'masks'] as const).flatMap((kind) => {
      const ours = Object.values(cocoEvaluate(truths, results, kind).figures);
      return each.figures[kind].map((theirs, i) => Math.abs(ours[i] - theirs));
    });
  });
  expect(differences).toHaveLength(sets.length * 24);
  return Math.max(...differences);
}

describe('the twelve figures of boxes and masks are those of pycocotools', () => {
  test('sets of the fixture', () => expect(largestDifference(cocoCases)).toBeLessThan(1e-12));

  test('60 other sets', needs(python), () => {
    expect(largestDifference(freshCocoCases({ polygons: 0, sets: 60 }))).toBeLessThan(1e-12);
  });
});

const truths: CocoAnnotations = {
  images: [
    { id: 1, width: 100, height: 100, fileName: 'a' },
    { id: 2, width: 100, height: 100, fileName: 'b' },
  ],
  categories: [
    { id: 3, name: 'cat' },
    { id: 4, name: 'dog' },
  ],
  annotations: [
    { id: 1, imageId: 1, categoryId: 3, box: [0, 0, 10, 10], area: 100, isCrowd: false },
    { id: 2, imageId: 2, categoryId: 3, box: [0, 0, 10, 10], area: 100, isCrowd: false },
  ],
};
const result = { imageId: 1, categoryId: 3, score: 0.5, box: [0, 0, 10, 10] } as const;

test('one of two objects is found: figures by hand', () => {
  const { figures, categories } = cocoEvaluate(truths, [result], 'boxes');
  expect(figures.AP).toBeCloseTo(51 / 101, 12);
  expect(figures.AR100).toBe(0.5);
  expect(figures.APl).toBe(-1);
  expect([...categories.keys()]).toEqual([3, 4]);
  expect(categories.get(4)).toBe(-1);
});

test('an annotation of id 0 can be matched', () => {
  const [first, second] = truths.annotations;
  const zero = { ...truths, annotations: [{ ...first, id: 0 }, second] };
  expect(cocoEvaluate(zero, [result], 'boxes')).toEqual(cocoEvaluate(truths, [result], 'boxes'));
});

test('nothing to find, and nothing found', () => {
  const empty = { ...truths, annotations: [] };
  expect(new Set(Object.values(cocoEvaluate(empty, [result], 'boxes').figures))).toEqual(new Set([-1]));
  expect(cocoEvaluate(truths, [], 'boxes').figures.AP).toBe(0);
});

test.each<[object, 'boxes' | 'masks', string]>([
  [{ imageId: 7 }, 'boxes', 'result 1: there is no image 7'],
  [{ categoryId: 7 }, 'boxes', 'result 1: there is no category 7'],
  [{ score: Number.NaN }, 'boxes', 'result 1 has the score NaN'],
  [{ box: undefined }, 'boxes', 'a result of image 1 and category 3 has no box'],
  [{}, 'masks', 'has no segmentation'],
])('refuses %j for %s', (change, kind, message) => {
  const work = () => cocoEvaluate(truths, [result, { ...result, ...change }], kind);
  expect(work).toThrow(InputError);
  expect(work).toThrow(message);
});
