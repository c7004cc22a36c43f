import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { absent, nameOf, pathBytes, pathOf, shownName, sortedNames } from './file-names.js';

test.each([
  ['Latin-1', Buffer.from('caf\xe9.png', 'latin1'), 'caf\udce9.png', 'caf\\xE9.png'],
  ['Shift JIS', Buffer.from([0x83, 0x65, 0x83, 0x58]), '\udc83e\udc83X', '\\x83e\\x83X'],
  ['a sequence that is cut', Buffer.from([0x61, 0xe5, 0x9b]), 'a\udce5\udc9b', 'a\\xE5\\x9B'],
  ['an overlong slash', Buffer.from([0xc0, 0xaf]), '\udcc0\udcaf', '\\xC0\\xAF'],
  ['a surrogate', Buffer.from([0xed, 0xb3, 0xa9]), '\udced\udcb3\udca9', '\\xED\\xB3\\xA9'],
  ['UTF-8 beside it', Buffer.from([0xe5, 0x9b, 0xbe, 0xff]), '\u56fe\udcff', '\u56fe\\xFF'],
  ['UTF-8', Buffer.from('\u56fe \u{1f600} \ufffd'), '\u56fe \u{1f600} \ufffd', '\u56fe \u{1f600} \ufffd'],
])('%s: as Python decodes it with surrogateescape, and back', (_, bytes, name, shown) => {
  expect(nameOf(bytes)).toBe(name);
  expect(pathBytes(name)).toEqual(bytes);
  expect(shownName(name)).toBe(shown);
});

test('the order is that of code points, as in Python', () => {
  // sorted(['\U0001f600', '\udce9', '\ue000', 'z', '\u00e9', 'za'])
  const sorted = ['z', 'za', '\u00e9', '\udce9', '\ue000', '\u{1f600}'];
  expect(sortedNames(sorted.toReversed())).toEqual(sorted);
});

test('a file with such a name is found', () => {
  const folder = mkdtempSync(join(tmpdir(), 'names-'));
  try {
    const bytes = Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0x61, 0xe9)]);
    writeFileSync(bytes, 'content');
    const [name] = readdirSync(folder, { encoding: 'buffer' });
    expect(readFileSync(pathOf(join(folder, nameOf(name))), 'utf8')).toBe('content');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a missing relative path is named with the folder that was searched', () => {
  expect(absent('data/flowers')).toBe(`data/flowers does not exist in ${process.cwd()}`);
  expect(absent('/data/flowers')).toBe('/data/flowers does not exist');
});
