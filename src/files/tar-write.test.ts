import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { testFolder } from '../../test/fixtures/data-fixture.js';
import { replaceFile, withFile, writeAll } from './file-bytes.js';
import { tarEntries, windowReader } from './tar.js';
import { type TarFile, writeTar } from './tar-write.js';

const folder = testFolder();
const file = (name: string, text: string): TarFile => ({
  name,
  size: Buffer.byteLength(text),
  write: (descriptor) => writeAll(descriptor, Buffer.from(text)),
});

test('what is written is read again, here and by GNU tar', () => {
  const texts = {
    'a.json': '{}',
    'MT/0/empty': '',
    'MT/0/block': 'x'.repeat(512),
    [`d/${'n'.repeat(98)}`]: 'end',
  };
  const path = `${folder.path}/x.tar`;
  replaceFile(path, (descriptor) =>
    writeTar(
      descriptor,
      Object.entries(texts).map(([name, text]) => file(name, text)),
    ),
  );
  const read = withFile(path, (open) => {
    const at = windowReader(open);
    return [...tarEntries(open, at)].map(({ name, start, size }) => [name, at(start, size).toString()]);
  });
  expect(Object.fromEntries(read)).toEqual(texts);
  expect(execFileSync('tar', ['tf', path], { encoding: 'utf8' }).trim().split('\n')).toEqual(
    Object.keys(texts),
  );
  expect(execFileSync('tar', ['xOf', path, 'MT/0/block'], { encoding: 'utf8' })).toBe(texts['MT/0/block']);
});

test('a name that the format has no place for is refused', () => {
  for (const name of ['n'.repeat(101), 'é', '']) {
    expect(() => replaceFile(`${folder.path}/x.tar`, (at) => writeTar(at, [file(name, '')]))).toThrow(
      /not a valid name/,
    );
  }
});
