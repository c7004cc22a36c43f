import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import {
  failure,
  fixture,
  refusals,
  sha256,
  testFolder,
  unpacked,
} from '../../test/fixtures/data-fixture.js';
import { FUZZ_RUNS, FUZZ_TIMEOUT, mutate } from '../../test/fixtures/mutate.js';
import { InputError } from '../base/errors.js';
import { randomStream } from '../base/random.js';
import { replaceFile, withFile, writeAll } from './file-bytes.js';
import { type TarEntry, type TarFile, tarEntries, windowReader, writeTar } from './tar.js';

const folder = testFolder();

interface Read extends TarEntry {
  readonly content: Buffer;
}

function readTar(bytes: Uint8Array): Read[] {
  return withFile(folder.write('file.tar', bytes), (file) => {
    const read = windowReader(file);
    return Array.from(tarEntries(file, read), (entry) => ({
      ...entry,
      content: Buffer.from(read(entry.start, entry.size)),
    }));
  });
}

const BLOCK = 512;

/** A header of the fields that matter, by POSIX.1-1988, with its check sum. */
function header(fields: { name?: string; size?: string | Buffer; type?: string; magic?: string }): Buffer {
  const { name = 'name', size = '00000000000', type = '0', magic = 'ustar\x0000' } = fields;
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0);
  if (typeof size === 'string') block.write(size, 124);
  else size.copy(block, 124);
  block.write(type, 156);
  block.write(magic, 257, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

const octal = (size: number) => size.toString(8).padStart(11, '0');
const END = Buffer.alloc(2 * BLOCK);

function padded(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}

function file(name: string, content: string, type = '0'): Buffer {
  return Buffer.concat([header({ name, size: octal(Buffer.byteLength(content)), type }), padded(content)]);
}

const archive = (...parts: Buffer[]) => Buffer.concat([...parts, END]);

describe.each(fixture.tars)('what tarfile writes as $name', ({ tar, entries }) => {
  test('names, offsets, sizes and contents, as tarfile reads them', () => {
    const found = readTar(unpacked(tar)).map(({ content, ...entry }) => ({
      ...entry,
      sha256: sha256(content),
    }));
    expect(found).toEqual(entries.map((entry) => ({ ...entry, name: entry.name.replace(/^\.\//, '') })));
  });

  test('truncated anywhere before its end mark, it is refused', () => {
    const whole = unpacked(tar);
    const { start, size } = entries[entries.length - 1];
    const end = start + BLOCK * Math.ceil(size / BLOCK);
    expect(readTar(whole.subarray(0, end + BLOCK)).length).toBe(entries.length);
    const cuts = Array.from({ length: 60 }, (_, i) => Math.floor((end * i) / 60)).concat(
      end,
      end + BLOCK - 1,
    );
    for (const cut of cuts) {
      expect(failure(() => readTar(whole.subarray(0, cut))).message).toMatch(/file\.tar is truncated/);
    }
  });
});

describe('rare variants', () => {
  test('a size in base 256', () => {
    const size = Buffer.alloc(12);
    size.writeUInt8(0x80, 0);
    size.writeUInt32BE(5, 8);
    expect(readTar(archive(header({ size }), padded('12345')))[0].content.toString()).toBe('12345');
  });

  test('a size from a pax header', () => {
    const pax = file('pax', '10 size=5\n', 'x');
    expect(readTar(archive(pax, header({ size: octal(0) }), padded('12345')))[0].size).toBe(5);
  });

  test('a signed checksum, as old programs wrote', () => {
    const block = header({ name: 'ü' });
    const [unsigned, high] = [Number.parseInt(block.toString('latin1', 148, 154), 8), 2];
    block.write(`${(unsigned - 256 * high).toString(8).padStart(6, '0')}\0 `, 148);
    expect(readTar(archive(block))[0].name).toBe('ü');
  });

  test('an archive from before ustar: no prefix, folders by a slash', () => {
    const old = header({ name: 'old', type: '\0', magic: '' });
    expect(
      readTar(archive(header({ name: 'dir/', type: '\0', magic: '' }), old)).map(({ name }) => name),
    ).toEqual(['old']);
  });

  test('global pax headers and unneeded kinds are skipped, with their content', () => {
    const tar = archive(
      file('global', '20 comment=archived\n', 'g'),
      file('label', 'x', 'V'),
      file('a', 'b'),
    );
    expect(readTar(tar).map(({ name }) => name)).toEqual(['a']);
  });

  test('data after the end mark is not read', () => {
    expect(readTar(archive(file('a', 'b'), END, file('c', 'd'))).length).toBe(1);
  });
});

describe('refused archives', () => {
  const huge = Buffer.alloc(12, 0xff);
  huge.writeUInt8(0x80, 0);
  const negative = Buffer.alloc(12, 0xff);
  test.each([
    ['a wrong check sum', archive(header({ name: 'a' }).fill('b', 0, 1)), /byte 0: invalid tar header/],
    ['not a tar file', Buffer.alloc(2000, 'text'), /invalid tar header/],
    ['no bytes', Buffer.alloc(0), /truncated: the end marker is missing/],
    ['a size that is not a number', archive(header({ size: '12z' })), /without a size/],
    ['a size beyond the safe integers', archive(header({ size: huge })), /without a size/],
    ['a negative size', archive(header({ size: negative })), /without a size/],
    ['a size beyond the file', archive(header({ size: '77777777777' })), /should have 8589934591 bytes/],
    ['a name above', archive(file('a/../../b.jpg', '')), /holds a file named "a\/\.\.\/\.\.\/b\.jpg"/],
    ['a name at the root', archive(file('/etc/passwd', '')), /holds a file named/],
    ['no name', archive(file('', '')), /holds a file named ""/],
    ['a hard link', archive(file('a.jpg', '', '1')), /"a\.jpg" is a link/],
    ['a symbolic link', archive(file('a.jpg', '', '2')), /"a\.jpg" is a link/],
    ['a sparse file', archive(file('a.jpg', '', 'S')), /is a sparse file/],
    ['a sparse file of pax', archive(file('x', '22 GNU.sparse.major=1\n', 'x')), /is a sparse file/],
    [
      'a long name that is too long',
      archive(file('n', 'x'.repeat(2 ** 20 + 1), 'L')),
      /has a name of 1048577/,
    ],
    ['a pax record without an end', archive(file('x', '99 path=a\n', 'x')), /damaged pax header/],
    ['a pax record without a length', archive(file('x', 'path=a\n', 'x')), /damaged pax header/],
    ['a pax record of length 0', archive(file('x', '0 path=a\n', 'x')), /damaged pax header/],
    ['an invalid pax size', archive(file('x', '11 size=-5\n', 'x')), /has a size of "-5"/],
  ])('%s', (_, bytes, message) => {
    const error = failure(() => readTar(bytes));
    expect(error.message).toMatch(message);
    expect(error.message).toContain(folder.path);
    expect(error.hint).toBeTruthy();
  });

  test('a compressed archive, and what to do', () => {
    const gzip = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), Buffer.alloc(1000, 7)]);
    expect(failure(() => readTar(gzip)).hint).toMatch(/gunzip/);
  });
});

test('a mutated archive is read or refused, and no entry is larger than the archive', {
  timeout: FUZZ_TIMEOUT,
}, () => {
  // Without the end mark's padding, so that most changes hit something.
  const originals = fixture.tars.map(({ tar, entries }) => {
    const { start } = entries[entries.length - 1];
    return unpacked(tar).subarray(0, start + 3 * BLOCK);
  });
  const refused = refusals((run) => {
    const bytes = mutate(originals[run % originals.length], randomStream(['tar', run]));
    const entries = readTar(bytes);
    expect(entries.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(bytes.length);
  });
  expect(refused).toBeGreaterThan(FUZZ_RUNS / 4);
  expect(refused).toBeLessThan(FUZZ_RUNS);
});

test('sizes beyond the end are refused before memory is allocated', () => {
  withFile(folder.write('small', 'small'), (opened) => {
    expect(() => windowReader(opened)(0, 2 ** 40)).toThrow(InputError);
  });
});

const tarFile = (name: string, text: string): TarFile => ({
  name,
  size: Buffer.byteLength(text),
  write: (descriptor) => writeAll(descriptor, Buffer.from(text)),
});

test('a written archive is read back, here and by GNU tar', () => {
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
      Object.entries(texts).map(([name, text]) => tarFile(name, text)),
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

test('a name that the format cannot store is refused', () => {
  for (const name of ['n'.repeat(101), 'é', '']) {
    expect(() => replaceFile(`${folder.path}/x.tar`, (at) => writeTar(at, [tarFile(name, '')]))).toThrow(
      /not a valid name/,
    );
  }
});
