import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { RunError } from '../../base/errors.js';
import { type DType, dtypeSize, elementCount, type TensorData } from '../../base/tensor-data.js';
import { writeFile } from '../../files/file-bytes.js';
import type { PickleValue } from './pickle-values.js';
import { readTorchFile } from './torch-file.js';
import { isTorchTensor } from './torch-file-tensor.js';
import { type TorchValue, torchFileWriter } from './torch-file-write.js';
import { readZipDirectory } from './torch-zip.js';

const folder = mkdtempSync(join(tmpdir(), 'torch-file-write-'));
const file = join(folder, 'written.pth');
afterAll(() => rmSync(folder, { recursive: true }));

async function back(value: TorchValue): Promise<PickleValue> {
  writeFile(file, torchFileWriter(value));
  return readTorchFile(file);
}

async function tensorsBack(tensors: ReadonlyMap<string, TensorData>): Promise<Map<string, TensorData>> {
  const root = await back({ ordered: tensors });
  if (!(root instanceof Map)) throw new Error('no dictionary');
  const loaded = new Map<string, TensorData>();
  for (const [name, tensor] of root) {
    if (!isTorchTensor(tensor)) throw new Error(`${name} is no tensor`);
    loaded.set(String(name), await tensor.load());
  }
  return loaded;
}

test('any tensors are read back', async () => {
  const dtypes: DType[] = ['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL'];
  const tensor = fc
    .tuple(fc.constantFrom(...dtypes), fc.array(fc.nat(3), { maxLength: 4 }))
    .chain(([dtype, shape]) => {
      const length = elementCount(shape) * dtypeSize(dtype);
      return fc
        .uint8Array({ minLength: length, maxLength: length })
        .map((data): TensorData => ({ dtype, shape, data: new Uint8Array(data) }));
    });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), tensor)), async (pairs) => {
      const tensors = new Map(pairs);
      expect(await tensorsBack(tensors)).toEqual(tensors);
    }),
  );
});

test('everything else is read back', async () => {
  const value = new Map<string | number, TorchValue>([
    ['epoch', 3],
    ['list', [null, true, 0.5, 'text', new Map([[7, 'seven']])]],
  ]);
  expect(await back(value)).toEqual(value);
});

describe('the archive', () => {
  const bytes = Uint8Array.from({ length: 400 }, (_, i) => i);
  const tensor = (data: Uint8Array): TensorData => ({ dtype: 'U8', shape: [data.length], data });

  test('equal bytes are stored once; other views of their buffer are separate', async () => {
    const data = new Map([
      ['a', tensor(bytes)],
      ['again', { ...tensor(bytes), shape: [20, 20] }],
      ['half', tensor(bytes.subarray(200))],
      ['other', { dtype: 'I8', shape: [400], data: bytes } as const],
    ]);
    const loaded = await tensorsBack(data);
    expect(loaded).toEqual(data);
    expect(loaded.get('a')?.data.buffer).toBe(loaded.get('again')?.data.buffer);
    const names = [...(await readZipDirectory(file)).keys()];
    expect(names.filter((name) => name.includes('/data/'))).toHaveLength(3);
  });

  test('data is aligned to 64 bytes; the pickle is first', async () => {
    await back([tensor(bytes.subarray(0, 3)), tensor(bytes), tensor(bytes.subarray(5, 6))]);
    const entries = [...(await readZipDirectory(file)).values()];
    expect(entries[0].name).toBe('archive/data.pkl');
    expect(entries.map(({ start }) => start % 64)).toEqual(entries.map(() => 0));
    expect(entries.every(({ crc32 }) => crc32 !== 0)).toBe(true);
  });

  test('damage in any chunk of a storage is detected', async () => {
    const large = Uint8Array.from({ length: 3 * 2 ** 20 }, (_, i) => i % 251);
    const loaded = (await tensorsBack(new Map([['a', tensor(large)]]))).get('a');
    expect(loaded && Buffer.compare(loaded.data, large)).toBe(0);
    const whole = readFileSync(file);
    const start = (await readZipDirectory(file)).get('archive/data/0')?.start ?? 0;
    for (const at of [0, 2 ** 20, 2 * 2 ** 20 + 1, large.length - 1]) {
      const damaged = Buffer.from(whole);
      damaged[start + at] ^= 1;
      writeFileSync(file, damaged);
      const root = await readTorchFile(file);
      const [first] = root instanceof Map ? root.values() : [];
      if (!isTorchTensor(first)) throw new Error('no tensor');
      await expect(first.load()).rejects.toThrow('CRC-32 does not match');
      await expect(first.loadInto(new Uint8Array(large.length))).rejects.toThrow('CRC-32 does not match');
    }
  });

  test('a tensor with the wrong number of bytes is refused', () => {
    const short: TensorData = { dtype: 'F32', shape: [2], data: new Uint8Array(7) };
    expect(() => torchFileWriter([short])).toThrow(RunError);
  });
});
