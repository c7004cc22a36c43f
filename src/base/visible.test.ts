import fc from 'fast-check';
import { expect, test } from 'vitest';
import { visible, visibleButColours, visibleLine, visibleStrings } from './visible.js';

test.each([
  ['a terminal escape', '\u001b]0;title\u0007', '\\u001b]0;title\\u0007'],
  ['C1', 'a\u009b2Jb', 'a\\u009b2Jb'],
  ['DEL and carriage return', 'a\u007f\rb', 'a\\u007f\\u000db'],
  [
    'bidirectional overrides and isolates',
    '\u202egpj.\u202c\u2066x\u2069',
    '\\u202egpj.\\u202c\\u2066x\\u2069',
  ],
  ['line and paragraph separators', 'a\u2028b\u2029c\u0085d', 'a\\u2028b\\u2029c\\u0085d'],
  ['tags, beyond 16 bits', 'a\u{e0041}', 'a\\udb40\\udc41'],
  ['half a surrogate pair', 'a\ud800b', 'a\\ud800b'],
])('%s is written out', (_, text, expected) => {
  expect(visible(text)).toBe(expected);
  expect(visibleLine(text)).toBe(expected);
});

test('names in other scripts, combining characters and emoji are unchanged', () => {
  const text = 'Ünïcödé मानक עברית العربية 犬 👩‍👩‍👧 e\u0301 \u00a0';
  expect(visibleLine(text)).toBe(text);
});

test('lines stay lines in text, not in a part of a line', () => {
  expect(visible('a\n\tb')).toBe('a\n\tb');
  expect(visibleLine('a\n\tb')).toBe('a\\u000a\\u0009b');
});

test('JSON stays the same JSON', () => {
  fc.assert(
    fc.property(fc.json(), fc.string({ unit: 'binary' }), (json, text) => {
      const value = [JSON.parse(json), text];
      for (const indent of [0, 2]) {
        expect(JSON.parse(visible(JSON.stringify(value, undefined, indent)))).toEqual(value);
      }
    }),
  );
});

test('colours pass; other control sequences do not', () => {
  expect(visibleButColours('\u001b[1;32mdone\u001b[39m \u001b[2J')).toBe(
    '\u001b[1;32mdone\u001b[39m \\u001b[2J',
  );
});

test('every string of a value, however deep', () => {
  expect(visibleStrings({ a: ['\u001b', { b: 'c\n' }], n: 1, x: null })).toEqual({
    a: ['\\u001b', { b: 'c\\u000a' }],
    n: 1,
    x: null,
  });
});
