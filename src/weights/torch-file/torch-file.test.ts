import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { FUZZ_RUNS, FUZZ_TIMEOUT, mutate } from '../../../test/fixtures/mutate.js';
import { storedZip } from '../../../test/fixtures/stored-zip.js';
import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import type { TensorData } from '../../base/tensor-data.js';
import { readSafetensors } from '../safetensors/safetensors.js';
import type { PickleKey, PickleValue } from './pickle-values.js';
import { readTorchFile } from './torch-file.js';
import { isTorchTensor, type TorchTensor } from './torch-file-tensor.js';
import { readStored, readZipDirectory } from './torch-zip.js';

const folder = mkdtempSync(join(tmpdir(), 'torch-file-'));
const file = join(folder, 'hostile.pth');
afterAll(() => rmSync(folder, { recursive: true }));

const fixture = (name: string) => join('test/fixtures', name);

describe('files that torch.save wrote', () => {
  test.each(['mixed.pth', 'mixed-protocol4.pth'])('%s: every dtype, stride and alias', async (name) => {
    const expected = readSafetensors(fixture('mixed.safetensors')).tensors;
    const tensors = tensorsOf(mapOf(await readTorchFile(fixture(name))).get('tensors'));
    expect(tensors.size).toBe(22);
    const loaded = await loadedOf(tensors);
    expect(new Map([...loaded].sort())).toEqual(new Map([...expected].sort()));
    expect(loaded.get('alias_a')?.data.buffer).toBe(loaded.get('alias_half')?.data.buffer);
  });

  test.each(['mixed.pth', 'mixed-protocol4.pth'])('%s: everything except tensors', async (name) => {
    const { tensors: _, args, ...rest } = Object.fromEntries(mapOf(await readTorchFile(fixture(name))));
    expect(rest).toEqual({
      best_accuracy: 82.5,
      steps: 625,
      long: 2n ** 70n,
      negative: -(2 ** 33),
      size: [2, 3],
      nested: new Map<unknown, unknown>([
        ['list', [1, 'zwei', [3, 4.5]]],
        [7, null],
      ]),
      epoch: 12,
    });
    const attributes = { lr: 5e-4, name: 'vit_base', clip_grad: null, eval: true, betas: [0.9, 0.999] };
    expect(args).toEqual({ kind: 'namespace', attributes: new Map(Object.entries(attributes)) });
  });

  test('tensor data is read on demand', async () => {
    const path = join(folder, 'lazy.pth');
    writeFileSync(path, readFileSync(fixture('mixed.pth')));
    const tensors = tensorsOf(mapOf(await readTorchFile(path)).get('tensors'));
    const before = await tensors.get('f32')?.load();
    rmSync(path);
    expect(await tensors.get('f32')?.load()).toBe(before);
    await expect(tensors.get('f64')?.load()).rejects.toThrow(InputError);
  });

  test('a file without checksums', async () => {
    const tensors = tensorsOf(await readTorchFile(fixture('without-crc32.pth')));
    expect((await tensors.get('a')?.load())?.data).toEqual(new Uint8Array([0, 0, 128, 63, 0, 0, 128, 63]));
  });
});

describe('refused, and no code is run', () => {
  test.each([
    ['posix.system', 'cposix\nsystem\n(X\x02\x00\x00\x00idtR.'],
    ['builtins.eval', '\x80\x02cbuiltins\neval\n(X\x03\x00\x00\x001+1tR.'],
    ['os.system', '\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.'],
    ['torch.hub.load', '\x80\x02ctorch.hub\nload\n)R.'],
    ['torch._utils.__proto__', '\x80\x02ctorch._utils\n__proto__\n)R.'],
    ['constructor', '\x80\x04\x8c\x00\x8c\x0bconstructor\x93)R.'],
  ])('%s', async (name, pickle) => {
    await refused(pickle, name === 'constructor' ? '`.constructor`' : `the file imports \`${name}\``);
    await refused(pickle, 'refused, no code was run');
  });

  test.each([
    ['a tensor on a missing storage', tensor({ key: '9' }), 'the storage 9 is missing'],
    [
      'a storage longer than its entry',
      tensor({ elements: 5 }),
      'should contain 5 elements of F32, but has 16 bytes',
    ],
    [
      'a storage shorter than its entry',
      tensor({ elements: 3 }),
      'should contain 3 elements of F32, but has 16 bytes',
    ],
    [
      'complex numbers',
      tensor({ type: 'ComplexFloatStorage' }),
      'torch.ComplexFloatStorage are not supported',
    ],
    ['an offset beyond the end', tensor({ offset: 1 }), 'ends at element 4 of a storage of 4'],
    ['a negative offset', tensor({ offset: -1 }), 'below 0'],
    ['a negative stride', tensor({ offset: 3, strides: [-1] }), 'below 0'],
    ['a stride beyond the end', tensor({ strides: [2] }), 'ends at element 6'],
    [
      'an expanded tensor of a gigabyte',
      tensor({ shape: [2 ** 28], strides: [0] }),
      'more elements than its storage',
    ],
    [
      'sizes whose product overflows',
      tensor({ shape: [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1], strides: [0, 0, 0] }),
      'more elements',
    ],
    ['more sizes than strides', tensor({ shape: [2, 2], strides: [1] }), 'has 1 strides'],
    [
      '65 dimensions',
      tensor({ shape: Array(65).fill(1), strides: Array(65).fill(1) }),
      'which torch.save never writes',
    ],
    ['state set on a tensor', `${tensor({}).slice(0, -1)}}b.`, 'sets the state of a tensor'],
    [
      'a tensor made of nothing',
      '\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.',
      'which torch.save never writes',
    ],
    [
      'a codec other than latin1',
      '\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.',
      '_codecs.encode',
    ],
    ['a numpy dtype of objects', '\x80\x02cnumpy\ndtype\n(X\x02\x00\x00\x00O8\x89\x88tR.', 'numpy dtype'],
    ['a storage of no type', '\x80\x02(X\x07\x00\x00\x00storageNNNNtQ.', 'not a storage'],
  ])('%s', async (_, pickle, message) => {
    await refused(pickle, message);
  });

  test('copies that together are larger than the file', async () => {
    const transposed = tensor({ elements: 4096, shape: [64, 64], strides: [1, 64] }).slice(2, -1);
    const path = torchFile(`\x80\x02(${transposed.repeat(3)}t.`, Buffer.alloc(16384));
    const tensors = [...walk(await readTorchFile(path))];
    expect(tensors).toHaveLength(3);
    await tensors[0].load();
    await expect(Promise.all(tensors.slice(1).map((each) => each.load()))).rejects.toThrow(
      'more memory than the file has bytes',
    );
  });

  test('formats other than the zip of torch.save', async () => {
    await expect(readTorchFile(fixture('legacy.pth'))).rejects.toThrow('before torch 1.6');
    await expect(readTorchFile(fixture('mixed.safetensors'))).rejects.toThrow(
      'truncated or not a torch.save file',
    );
    await expect(readTorchFile(folder)).rejects.toThrow('not a regular file');
    await expect(readTorchFile(join(folder, 'absent'))).rejects.toThrow(InputError);
    const script: [string, Buffer][] = [
      ['m/data.pkl', Buffer.from('N.')],
      ['m/constants.pkl', Buffer.from('N.')],
    ];
    await refusedBytes(storedZip(script), 'TorchScript');
    await refusedBytes(
      storedZip([
        ['m/data.pkl', Buffer.from('N.')],
        ['m/byteorder', Buffer.from('big')],
      ]),
      'big-endian',
    );
    await refusedBytes(storedZip([['m/other', Buffer.from('N.')]]), 'exactly one data.pkl');
    await refusedBytes(
      storedZip([
        ['m/data.pkl', Buffer.from('N.')],
        ['n/data.pkl', Buffer.from('N.')],
      ]),
      'exactly one data.pkl',
    );
  });

  test('inconsistent archives', async () => {
    const entry: [string, Buffer] = ['m/data.pkl', Buffer.from('\x80\x02N.', 'latin1')];
    const zip = storedZip([entry]);
    const directory = zip.indexOf('PK\x01\x02');
    const patched = (...patches: [at: number, bytes: number[]][]) => {
      const copy = Buffer.from(zip);
      for (const [at, bytes] of patches) copy.set(bytes, at);
      return copy;
    };
    await refusedBytes(storedZip([entry, entry]), 'm/data.pkl is duplicated');
    await refusedBytes(patched([directory + 8, [1]], [directory + 20, [16]]), 'encrypted');
    await refusedBytes(patched([directory + 10, [8]]), 'compressed');
    await refusedBytes(patched([directory + 20, [200, 0, 0, 0, 200]]), 'bounds');
    await refusedBytes(patched([directory + 42, [255, 255, 255, 127]]), 'beyond its end');
    await refusedBytes(patched([zip.indexOf('N.'), [0x88]]), 'CRC-32 does not match');
    await refusedBytes(overlapping(), 'overlap');
    for (const length of [0, 3, 30, zip.length - 1]) {
      await refusedBytes(zip.subarray(0, length), 'truncated or not a torch.save file');
    }
  });

  test('a directory beyond 2^53, at which the zip library itself throws', async () => {
    const whole = readFileSync(fixture('mixed.pth'));
    const locator = whole.lastIndexOf('PK\x06\x07');
    whole.writeBigUInt64LE(2n ** 63n, locator + 8);
    await refusedBytes(whole, 'beyond its end');
  });
});

describe('mutated files return values or throw InputError, with bounded memory', () => {
  const originals = ['mixed.pth', 'mixed-protocol4.pth', 'tiny-vit-model.pth'];

  test('bytes of the archive', { timeout: FUZZ_TIMEOUT }, async () => {
    const bytes = originals.map((name) => readFileSync(fixture(name)));
    const refusals = await fuzz((stream, run) => mutate(bytes[run % bytes.length], stream));
    expect(refusals).toBeGreaterThan(FUZZ_RUNS / 4);
    expect(refusals).toBeLessThan(FUZZ_RUNS);
  });

  test('bytes of the pickle, in a valid archive', { timeout: FUZZ_TIMEOUT }, async () => {
    const archives = await Promise.all(originals.map((name) => entriesOf(fixture(name))));
    const refusals = await fuzz((stream, run) =>
      storedZip(
        archives[run % archives.length].map(([name, bytes]) => [
          name,
          name.endsWith('data.pkl') ? mutate(bytes, stream) : bytes,
        ]),
      ),
    );
    expect(refusals).toBeGreaterThan(FUZZ_RUNS / 4);
    expect(refusals).toBeLessThan(FUZZ_RUNS);
  });

  async function fuzz(
    make: (stream: ReturnType<typeof randomStream>, run: number) => Buffer,
  ): Promise<number> {
    let refusals = 0;
    for (let run = 0; run < FUZZ_RUNS; run++) {
      const bytes = make(randomStream(['torch', run]), run);
      writeFileSync(file, bytes);
      try {
        const tensors = [...walk(await readTorchFile(file))];
        const loaded = await Promise.all(tensors.map((each) => each.load()));
        const buffers = new Set(loaded.map(({ data }) => data.buffer));
        const total = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
        expect(total).toBeLessThanOrEqual(2 * bytes.length);
      } catch (error) {
        if (!(error instanceof InputError)) throw new Error(`run ${run}`, { cause: error });
        refusals++;
      }
    }
    return refusals;
  }
});

/** A pickle of one float tensor on a storage of 16 bytes, with what torch would never write put in. */
function tensor(parts: {
  key?: string;
  type?: string;
  elements?: number;
  offset?: number;
  shape?: number[];
  strides?: number[];
}): string {
  const { key = '0', type = 'FloatStorage', elements = 4, offset = 0, shape = [4], strides = [1] } = parts;
  const text = (value: string) => `X${String.fromCharCode(value.length)}\0\0\0${value}`;
  const number = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return `J${bytes.toString('latin1')}`;
  };
  const tuple = (values: number[]) => `(${values.map(number).join('')}t`;
  const id = `(${text('storage')}ctorch\n${type}\n${text(key)}${text('cpu')}${number(elements)}tQ`;
  return `\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(${id}${number(offset)}${tuple(shape)}${tuple(strides)}\x89NtR.`;
}

function torchFile(pickle: string, storage: Uint8Array = Buffer.alloc(16)): string {
  writeFileSync(
    file,
    storedZip([
      ['m/data.pkl', Buffer.from(pickle, 'latin1')],
      ['m/data/0', storage],
    ]),
  );
  return file;
}

async function refused(pickle: string, message: string): Promise<void> {
  const reading = readTorchFile(torchFile(pickle));
  await expect(reading).rejects.toThrow(InputError);
  await expect(reading).rejects.toThrow(message);
}

async function refusedBytes(bytes: Uint8Array, message: string): Promise<void> {
  writeFileSync(file, bytes);
  await expect(readTorchFile(file)).rejects.toThrow(InputError);
  await expect(readTorchFile(file)).rejects.toThrow(message);
}

/** Three entries, of which the later two lie inside the first. */
function overlapping(): Buffer {
  const zip = storedZip([
    ['m/a', Buffer.alloc(300)],
    ['m/b', Buffer.alloc(1)],
    ['m/c', Buffer.alloc(1)],
  ]);
  const first = zip.indexOf('PK\x01\x02');
  const second = zip.indexOf('PK\x01\x02', first + 1);
  const third = zip.indexOf('PK\x01\x02', second + 1);
  for (const entry of [second, third]) {
    zip.writeUInt32LE(300, entry + 20);
    zip.writeUInt32LE(300, entry + 24);
    zip.writeUInt32LE(0, entry + 42);
  }
  return zip;
}

async function entriesOf(path: string): Promise<[string, Uint8Array][]> {
  const entries = [...(await readZipDirectory(path))];
  return Promise.all(
    entries.map(async ([name, entry]): Promise<[string, Uint8Array]> => [name, await readStored(entry)]),
  );
}

function mapOf(value: PickleValue | undefined): Map<PickleKey, PickleValue> {
  if (!(value instanceof Map)) throw new Error('not a dictionary');
  return value;
}

async function loadedOf(tensors: ReadonlyMap<string, TorchTensor>): Promise<Map<string, TensorData>> {
  const loaded = new Map<string, TensorData>();
  for (const [name, tensor] of tensors) loaded.set(name, await tensor.load());
  return loaded;
}

function tensorsOf(value: PickleValue | undefined): Map<string, TorchTensor> {
  return new Map(
    [...mapOf(value)].map(([name, each]) => {
      if (!isTorchTensor(each)) throw new Error(`${name} is no tensor`);
      return [String(name), each];
    }),
  );
}

/** Every tensor that can be reached, once. */
function walk(root: PickleValue): Set<TorchTensor> {
  const seen = new Set<PickleValue>();
  const found = new Set<TorchTensor>();
  const queue = [root];
  for (let value = queue.pop(); value !== undefined; value = queue.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    if (isTorchTensor(value)) found.add(value);
    else if (Array.isArray(value)) queue.push(...value);
    else if (value instanceof Map) queue.push(...value.values());
  }
  return found;
}
