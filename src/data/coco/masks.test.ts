import { describe, expect, test } from 'vitest';
import { type CocoCases, cocoCases, freshCocoCases } from '../../../test/coco-cases.js';
import { needs, python } from '../../../test/needs.js';
import { polygonsRle } from './polygon.js';
import { decodeRle, encodeRle, mergeRles, type Rle, rleArea, rleBox, rleIou } from './rle.js';
import { compressRle, expandCounts, segmentationRle } from './segmentation.js';

describe('equal to pycocotools', () => {
  test('polygons of the fixture', () => checkPolygons(cocoCases));
  test('masks of the fixture', () => checkMasks(cocoCases));

  test('10,000 other polygons and 300 other masks', needs(python), () => {
    const cases = freshCocoCases({ polygons: 10_000, sets: 0 });
    expect(cases.polygons).toHaveLength(10_000);
    checkPolygons(cases);
    checkMasks(cases);
  });
});

function checkPolygons({ polygons: all }: CocoCases): void {
  const different = all.filter(({ polygons, height, width, counts }) => {
    return compressRle(polygonsRle(polygons, height, width)).counts !== counts;
  });
  expect(different).toEqual([]);
}

function checkMasks({ masks: all }: CocoCases): void {
  for (const { height, width, masks, counts, areas, merged, iou, crowd } of all) {
    const pixels = masks.map((mask) => [...mask].map(Number));
    const [a, b] = pixels.map((each) => encodeRle(each, height, width));
    expect([a, b].map((rle) => compressRle(rle).counts)).toEqual(counts);
    expect([a, b].map(rleArea)).toEqual(areas);
    expect([a, b].map((rle) => [...decodeRle(rle)])).toEqual(pixels);
    const read = counts.map((text) =>
      segmentationRle({ size: [height, width], counts: text }, { width, height }),
    );
    expect(read).toEqual([a, b]);
    expect(compressRle(mergeRles([a, b])).counts).toBe(merged);
    expect(rleIou(a, b, false)).toBe(iou);
    expect(rleIou(a, b, true)).toBe(crowd);
    expect(rleBox(a)).toEqual(boxAround(pixels[0], width));
  }
}

function boxAround(mask: readonly number[], width: number): number[] {
  const places = [...mask.keys()].filter((i) => mask[i] === 1);
  if (places.length === 0) return [0, 0, 0, 0];
  const [xs, ys] = [places.map((i) => i % width), places.map((i) => Math.floor(i / width))];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return [x, y, Math.max(...xs) - x + 1, Math.max(...ys) - y + 1];
}

test('runs of length 0 inside a mask change nothing', () => {
  const plain: Rle = { height: 2, width: 4, counts: Uint32Array.of(0, 5, 3) };
  const odd: Rle = { height: 2, width: 4, counts: Uint32Array.of(0, 2, 0, 3, 3, 0) };
  expect(decodeRle(odd)).toEqual(decodeRle(plain));
  expect(mergeRles([odd, odd])).toEqual(plain);
  expect(rleIou(odd, plain, false)).toBe(1);
  expect(rleBox(odd)).toEqual(rleBox(plain));
});

test('large counts survive compression', () => {
  const counts = Uint32Array.of(0, 2 ** 32 - 1, 1, 2 ** 31, 17, 0, 2 ** 32 - 1);
  const text = compressRle({ height: 1, width: 1, counts }).counts as string;
  expect(expandCounts(text)).toEqual([...counts]);
});

test.each([
  ['2', [2]],
  ['', []],
  ['22', [2, 2]],
])('%j is valid', (text, counts) => {
  expect(expandCounts(text)).toEqual(counts);
});

test.each([
  ['2R', 'ends in the middle of a number'],
  ['2 2', 'has the invalid character " "'],
  ['2\u00ff', 'has the invalid character'],
  ['PPPPPPP0', 'has too long a number at character 7'],
])('%j is invalid: it %s', (text, message) => {
  expect(() => expandCounts(text)).toThrow(message);
});
