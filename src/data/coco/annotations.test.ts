import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { testFolder } from '../../../test/fixtures/data-fixture.js';
import { InputError } from '../../base/errors.js';
import { readCocoAnnotations } from './annotations.js';
import { readCocoResults, writeCocoResults } from './results.js';

const folder = testFolder();
const SQUARE = [1, 1, 5, 1, 5, 4, 1, 4];
const image = { id: 5, width: 8, height: 6, file_name: 'a.jpg' };
const annotation = {
  id: 17,
  image_id: 5,
  category_id: 90,
  bbox: [1, 1, 4, 3],
  area: 12,
  iscrowd: 0,
  segmentation: [SQUARE] as unknown,
};
const truths = { images: [image], categories: [{ id: 90, name: 'cat' }], annotations: [annotation] };

function read(content: unknown) {
  folder.write('truths.json', typeof content === 'string' ? content : JSON.stringify(content));
  return readCocoAnnotations(join(folder.path, 'truths.json'));
}
const readWith = (change: object) => read({ ...truths, annotations: [{ ...annotation, ...change }] });

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    return (error as InputError).message.replace(folder.path, '');
  }
  throw new Error('no error was thrown');
}

describe('annotations', () => {
  test('polygons, run lengths, compressed run lengths', () => {
    const expected = { id: 17, imageId: 5, categoryId: 90, box: [1, 1, 4, 3], area: 12, isCrowd: false };
    expect(read(truths)).toEqual({
      images: [{ id: 5, width: 8, height: 6, fileName: 'a.jpg' }],
      categories: [{ id: 90, name: 'cat' }],
      annotations: [{ ...expected, segmentation: [SQUARE] }],
    });
    for (const counts of [[6, 42], '6Z1']) {
      const segmentation = { size: [6, 8], counts };
      expect(readWith({ segmentation, iscrowd: 1 }).annotations).toEqual([
        { ...expected, isCrowd: true, segmentation },
      ]);
    }
  });

  test('a mask may be missing, as may iscrowd', () => {
    for (const segmentation of [undefined, null, []]) {
      const [first] = readWith({ segmentation, iscrowd: undefined }).annotations;
      expect('segmentation' in first).toBe(false);
      expect(first.isCrowd).toBe(false);
    }
  });

  test.each<[object, string]>([
    [{ image_id: 6 }, 'annotation 17: image_id 6 is not the id of an image'],
    [{ image_id: '5' }, 'annotation 17: image_id is "5", not a whole number'],
    [{ category_id: 1 }, 'annotation 17: category_id 1 is not the id of a category'],
    [{ bbox: [1, 2, 3] }, 'annotation 17: bbox has 3 numbers, not 4'],
    [{ bbox: [1, 2, -3, 4] }, 'annotation 17: bbox has a negative width or height'],
    [{ bbox: [1, 2, null, 4] }, 'annotation 17: bbox is a list, not a list of finite numbers'],
    [{ bbox: undefined }, 'annotation 17: bbox is missing'],
    [{ area: undefined }, 'annotation 17: area is missing'],
    [{ area: -1 }, 'annotation 17: area -1 is negative'],
    [{ iscrowd: 2 }, 'annotation 17: iscrowd 2 is neither 0 nor 1'],
    [{ segmentation: 'x' }, 'annotation 17: segmentation is neither a list of polygons nor run lengths'],
    [{ segmentation: [SQUARE, [1, 2, 3, 4]] }, 'annotation 17: segmentation[1] has 4 numbers; a polygon has'],
    [{ segmentation: [[1, 2, 3, 4, 5, 6, 7]] }, 'annotation 17: segmentation[0] has 7 numbers'],
    [{ segmentation: SQUARE }, 'annotation 17: segmentation[0] is not a list of finite numbers'],
    [
      { segmentation: [[1, 2, 3, 4, 5, 1e9]] },
      'annotation 17: segmentation[0] has a coordinate beyond 131072',
    ],
    [{ segmentation: { size: [8, 6], counts: [48] } }, 'segmentation.size is [8,6], but the image has [6,8]'],
    [{ segmentation: { counts: [48] } }, 'annotation 17: segmentation.size is not [height, width]'],
    [
      { segmentation: { size: [6, 8], counts: [40, 5] } },
      'segmentation.counts adds up to 45 pixels, but the',
    ],
    [
      { segmentation: { size: [6, 8], counts: [50, -2] } },
      'segmentation.counts has the invalid run length -2',
    ],
    [{ segmentation: { size: [6, 8], counts: '6Z' } }, 'segmentation.counts ends in the middle of a number'],
    [{ segmentation: { size: [6, 8] } }, 'segmentation.counts is neither a text nor a list of run lengths'],
  ])('%j', (change, message) => {
    expect(messageOf(() => readWith(change))).toContain(message);
    expect(messageOf(() => readWith(change))).toMatch(/^\/truths\.json: annotation 17: /);
  });

  test.each<[unknown, string]>([
    ['{', '/truths.json: cannot be read as JSON'],
    [[], '/truths.json is a list, not an object'],
    [{ ...truths, images: undefined }, '/truths.json: images is missing'],
    [{ ...truths, images: [7] }, '/truths.json: images[0] is 7, not an object'],
    [
      { ...truths, images: [{ ...image, width: 0 }] },
      '/truths.json: image 5: width 0 is not from 1 to 32768',
    ],
    [{ ...truths, images: [image, image] }, '/truths.json: image 5: id 5 occurs twice'],
    [{ ...truths, annotations: [annotation, annotation] }, '/truths.json: annotation 17: id 17 occurs twice'],
    [{ ...truths, categories: [{ id: 90 }] }, '/truths.json: category 90: name is missing'],
  ])('%j', (content, message) => {
    expect(messageOf(() => read(content))).toContain(message);
  });

  test('a file that does not exist', () => {
    expect(messageOf(() => readCocoAnnotations(join(folder.path, 'none.json')))).toContain(
      '/none.json: cannot be read as JSON (ENOENT',
    );
  });
});

describe('results', () => {
  const path = () => join(folder.path, 'results.json');
  const result = {
    imageId: 5,
    categoryId: 90,
    score: 0.1 + 0.2,
    box: [0.1, 1, 2, 3],
    segmentation: { size: [6, 8], counts: '6Z1' },
  } as const;
  const { box, segmentation, ...rest } = result;

  test('are written as boxes or as masks, and read', () => {
    const known = read(truths);
    writeCocoResults(path(), [result, result], 'boxes');
    expect(readCocoResults(path(), known)).toEqual([
      { ...rest, box },
      { ...rest, box },
    ]);
    writeCocoResults(path(), [result], 'masks');
    expect(readCocoResults(path(), known)).toEqual([{ ...rest, segmentation }]);
    writeCocoResults(path(), [], 'masks');
    expect(readCocoResults(path(), known)).toEqual([]);
  });

  test.each<[object, string]>([
    [{ image_id: 1 }, '/results.json: result 1: image_id 1 is not the id of an image'],
    [{ category_id: 1 }, '/results.json: result 1: category_id 1 is not the id of a category'],
    [{ score: null }, '/results.json: result 1: score is null, not a finite number'],
    [{ bbox: [1, 2, 3] }, '/results.json: result 1: bbox has 3 numbers, not 4'],
    [{ segmentation: { size: [1, 1], counts: [1] } }, '/results.json: result 1: segmentation.size is [1,1]'],
  ])('%j', (change, message) => {
    const known = read(truths);
    const written = { image_id: 5, category_id: 90, score: 1, bbox: [1, 2, 3, 4] };
    folder.write('results.json', JSON.stringify([written, { ...written, ...change }]));
    expect(messageOf(() => readCocoResults(path(), known))).toContain(message);
  });

  test('results without masks cannot be written as masks', () => {
    expect(messageOf(() => writeCocoResults(path(), [result, { ...rest, box }], 'masks'))).toBe(
      'result 1 has no segmentation: masks cannot be written',
    );
  });
});
