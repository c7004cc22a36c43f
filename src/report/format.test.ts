import { expect, test } from 'vitest';
import { bytes, duration, significant, trimmed, withPrefix } from './format.js';

test.each([
  [0.4, '0.4 s'],
  [9.96, '10 s'],
  [59.4, '59 s'],
  [59.6, '1 min 00 s'],
  [3599, '59 min 59 s'],
  [3600, '1 h 00 min'],
  [90_000, '1 d 01 h'],
  [Number.NaN, '?'],
])('%d seconds are %s', (seconds, text) => expect(duration(seconds)).toBe(text));

test.each([
  [0, '0.00'],
  [0.01234, '0.0123'],
  [12.345, '12.3'],
  [999.4, '999'],
  [1234.5, '1,235'],
])('%d to three digits is %s', (value, text) => expect(significant(value)).toBe(text));

test('prefixes', () => {
  expect(withPrefix(17.56e9)).toBe('17.6 G');
  expect(withPrefix(0)).toBe('0.00');
  expect(bytes(0)).toBe('0 B');
  expect(bytes(1536)).toBe('1.50 KiB');
  expect(bytes(1.3e9)).toBe('1.21 GiB');
});

test.each([
  [bytes(320 * 2 ** 20), '320 MiB'],
  [bytes(1.5 * 2 ** 30), '1.5 GiB'],
  [bytes(2 ** 30), '1 GiB'],
  [withPrefix(0), '0'],
  [withPrefix(200_000), '200 k'],
  ['1,000 k', '1000 k'],
])('%s on an axis is %s', (text, shown) => expect(trimmed(text)).toBe(shown));
