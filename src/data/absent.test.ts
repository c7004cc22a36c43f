import { expect, test } from 'vitest';
import { absent } from './absent.js';

test('of a relative path it is told from where it was looked for', () => {
  expect(absent('data/flowers')).toBe(`data/flowers does not exist in ${process.cwd()}`);
  expect(absent('/data/flowers')).toBe('/data/flowers does not exist');
});
