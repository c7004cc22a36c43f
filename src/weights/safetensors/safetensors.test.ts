import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { FUZZ_RUNS, FUZZ_TIMEOUT, mutate } from '../../../test/fixtures/mutate.js';
import { InputError, RunError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import { type DType, dtypeSize, elementCount, type TensorData } from '../../base/tensor-data.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';

const folder = mkdtempSync(join(tmpdir(), 'safetensors-'));
const file = join(folder, 'model.safetensors');
afterAll(() => rmSync(folder, { recursive: true }));

const fixture = (name: string) => join('test/fixtures', name);

function fileOf(header: string | object, data: Uint8Array | number = 0): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(file, Buffer.concat([length, json, typeof data === 'number' ? Buffer.alloc(data) : data]));
  return file;
}

describe('files that the reference wrote', () => {
  test('every dtype, scalars and empty tensors', () => {
    const { tensors, metadata } = readSafetensors(fixture('mixed.safetensors'));
    expect(metadata).toEqual({ format: 'pt' });
    expect(tensors.size).toBe(22);
    expect(new Set([...tensors.values()].map(({ dtype }) => dtype)).size).toBe(10);
    expect(tensors.get('i64')).toEqual({
      dtype: 'I64',
      shape: [2],
      data: bytesOf(new BigInt64Array([-1n, 2n ** 40n])),
    });
    expect(tensors.get('bool')).toEqual({ dtype: 'BOOL', shape: [3], data: new Uint8Array([1, 0, 1]) });
    expect(tensors.get('scalar')).toEqual({
      dtype: 'F32',
      shape: [],
      data: bytesOf(new Float32Array([3.5])),
    });
    expect(tensors.get('empty')).toEqual({ dtype: 'F32', shape: [0, 3], data: new Uint8Array() });
  });

  test.each(['mixed', 'names', 'tiny-vit'])('%s is written again byte for byte', (name) => {
    const original = fixture(`${name}.safetensors`);
    const { tensors, metadata } = readSafetensors(original);
    const shuffled = new Map([...tensors].reverse());
    writeSafetensors(file, shuffled, Object.keys(metadata).length === 0 ? undefined : metadata);
    expect(readFileSync(file).equals(readFileSync(original))).toBe(true);
  });

  test('tensors do not share bytes, and are aligned for their type', () => {
    const { tensors } = readSafetensors(fixture('mixed.safetensors'));
    const data = [...tensors.values()].map((tensor) => tensor.data);
    expect(new Set(data.map(({ buffer }) => buffer)).size).toBe(data.length);
    expect(data.every(({ byteOffset }) => byteOffset === 0)).toBe(true);
  });
});

describe('round trips', () => {
  const dtypes: DType[] = ['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL'];
  const tensor = fc
    .tuple(fc.constantFrom(...dtypes), fc.array(fc.nat(3), { maxLength: 4 }))
    .chain(([dtype, shape]) => {
      const length = elementCount(shape) * dtypeSize(dtype);
      return fc
        .uint8Array({ minLength: length, maxLength: length })
        .map((data): TensorData => ({ dtype, shape, data: new Uint8Array(data) }));
    });
  const name = fc.string({ unit: 'grapheme' }).filter((text) => text !== '__metadata__');
  const names = fc.oneof(name, fc.constantFrom('__proto__', 'constructor', '0', '10', '2', ''));

  test('any tensors and metadata are read back', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(names, tensor)),
        fc.option(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }))),
        (pairs, metadata) => {
          const tensors = new Map(pairs);
          writeSafetensors(file, tensors, metadata ?? undefined);
          const read = readSafetensors(file);
          expect(new Map([...read.tensors].sort())).toEqual(new Map([...tensors].sort()));
          expect(Object.entries(read.metadata)).toEqual(Object.entries(metadata ?? {}));
          expect(readFileSync(file).readUInt32LE() % 8).toBe(0);
        },
      ),
    );
  });

  test('data that cannot be stored is refused before a file is created', () => {
    const short = { dtype: 'F32', shape: [2], data: new Uint8Array(7) } as const;
    expect(() => writeSafetensors(file, new Map([['a', short]]))).toThrow(RunError);
    const fine = { ...short, data: new Uint8Array(8) };
    expect(() => writeSafetensors(file, new Map([['__metadata__', fine]]))).toThrow(RunError);
    expect(() => writeSafetensors(join(folder, 'absent', 'x'), new Map([['a', fine]]))).toThrow('absent');
  });
});

describe('damaged files are refused, by name', () => {
  const entry = (start: number, end: number, shape = [1], dtype = 'F32') => ({
    dtype,
    shape,
    data_offsets: [start, end],
  });

  test.each<[string, string | object, number, string]>([
    ['a hole', { a: entry(0, 4), b: entry(8, 12) }, 12, "'b' starts at byte 8, not at 4"],
    ['a hole at the start', { a: entry(4, 8) }, 8, "'a' starts at byte 4, not at 0"],
    ['an overlap', { a: entry(0, 4), b: entry(2, 6) }, 6, "'b' starts at byte 2, not at 4"],
    ['bytes left over', { a: entry(0, 4) }, 5, 'describes 4 bytes of tensors, but the file has 5'],
    ['bytes missing', { a: entry(0, 4) }, 3, 'describes 4 bytes of tensors, but the file has 3'],
    ['a size that is not the shape', { a: entry(0, 8) }, 8, "'a': F32 [1] needs 4 bytes, not 8"],
    ['an end before the start', { a: entry(4, 0) }, 4, "'a': F32 [1] needs 4 bytes, not -4"],
    ['a product that overflows', { a: entry(0, 0, [2 ** 40, 2 ** 40]) }, 0, "'a': F32 "],
    [
      'a size that is not an integer',
      '{"a":{"dtype":"F32","shape":[1e300],"data_offsets":[0,4]}}',
      4,
      "'a': expected",
    ],
    ['a negative size', { a: entry(0, 4, [-1]) }, 4, "'a': expected"],
    ['a text for a size', '{"a":{"dtype":"F32","shape":"1","data_offsets":[0,4]}}', 4, "'a': expected"],
    ['an unknown dtype', { a: entry(0, 1, [1], 'F8_E4M3') }, 1, "'a': dtype 'F8_E4M3' is not supported"],
    ['a key of Object', { a: entry(0, 1, [1], 'constructor') }, 1, "dtype 'constructor' is not supported"],
    [
      'a name twice',
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0061" :{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
      "'a' is duplicated in the header",
    ],
    [
      'a field twice',
      '{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
      "'dtype' is duplicated in the header",
    ],
    ['metadata that is not text', { __metadata__: { epoch: 3 } }, 0, "'epoch' is not a string"],
    ['metadata that is a list', { __metadata__: ['x'] }, 0, '__metadata__ is not an object'],
    ['a header that is not an object', '[1]', 0, 'not a JSON object'],
    ['a header that is not JSON', '{"a":', 0, 'not UTF-8 JSON'],
  ])('%s', (_, header, data, message) => {
    const path = fileOf(header, data);
    expect(() => readSafetensors(path)).toThrow(InputError);
    expect(() => readSafetensors(path)).toThrow(`${path}: `);
    expect(() => readSafetensors(path)).toThrow(message);
  });

  test.each([
    ['an empty file', [], '0 bytes is too short'],
    ['a header longer than the file', [200, 0, 0, 0, 0, 0, 0, 0, 0x7b], 'does not fit'],
    ['a header over the limit', [1, 0xe1, 0xf5, 5, 0, 0, 0, 0], 'over the limit of 100000000'],
    ['a header of 2^64 - 1 bytes', [255, 255, 255, 255, 255, 255, 255, 255], 'over the limit'],
    ['bytes that are not UTF-8', [4, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0xff, 0x7d], 'not UTF-8'],
  ])('%s', (_, bytes, message) => {
    writeFileSync(file, Buffer.from(bytes));
    expect(() => readSafetensors(file)).toThrow(InputError);
    expect(() => readSafetensors(file)).toThrow(message);
  });

  test('a missing file and a folder', () => {
    expect(() => readSafetensors(join(folder, 'absent'))).toThrow(InputError);
    expect(() => readSafetensors(folder)).toThrow(InputError);
  });

  test('a mutated file is read or refused, with no more memory than its bytes', {
    timeout: FUZZ_TIMEOUT,
  }, () => {
    const originals = ['mixed', 'names', 'tiny-vit'].map((name) =>
      readFileSync(fixture(`${name}.safetensors`)),
    );
    let refused = 0;
    for (let run = 0; run < FUZZ_RUNS; run++) {
      const stream = randomStream(['safetensors', run]);
      const bytes = mutate(originals[run % originals.length], stream);
      writeFileSync(file, bytes);
      try {
        const { tensors } = readSafetensors(file);
        const total = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
        expect(total).toBeLessThan(bytes.length);
      } catch (error) {
        if (!(error instanceof InputError)) throw new Error(`run ${run}`, { cause: error });
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(FUZZ_RUNS / 4);
  });
});

function bytesOf(values: Float32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(values.buffer);
}
