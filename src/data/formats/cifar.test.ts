import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  cifarRecords,
  failure,
  fixture,
  indicesOf,
  refusals,
  sha256,
  storedBytes,
  testFolder,
} from '../../../test/fixtures/data-fixture.js';
import { FUZZ_RUNS, FUZZ_TIMEOUT, mutate } from '../../../test/fixtures/mutate.js';
import { randomStream } from '../../base/random.js';
import { type CifarFormat, cifar, cifarFolder } from './cifar.js';

const folder = testFolder();

function writeTen(inside = ''): void {
  for (let i = 1; i <= 5; i++) folder.write(join(inside, `data_batch_${i}.bin`), cifarRecords(i, [10]));
  folder.write(join(inside, 'test_batch.bin'), cifarRecords(6, [10]));
}

function writeHundred(inside = ''): void {
  folder.write(join(inside, 'train.bin'), cifarRecords(7, [20, 100]));
  folder.write(join(inside, 'test.bin'), cifarRecords(8, [20, 100]));
}

const cases = [
  ['cifar-10', writeTen, 'cifar-10-batches-bin'],
  ['cifar-100', writeHundred, 'cifar-100-binary'],
] as const satisfies [CifarFormat, (inside?: string) => void, string][];

describe.each(cases)('%s', (format, write, inside) => {
  test.each(['train', 'val'] as const)('%s: labels and pixels as numpy reads them', (split) => {
    write();
    const dataset = cifar(folder.path, format, split);
    const found = indicesOf(dataset).map((i) => ({
      label: dataset.label(i),
      sha256: sha256(storedBytes(dataset, i)),
    }));
    expect(found).toEqual(fixture.cifar[format][split]);
    expect(dataset.source(1)).toMatchObject({ width: 32, height: 32, channels: 3 });
  });

  test('in the parent folder', () => {
    write(inside);
    expect(cifarFolder(folder.path, format)).toBe(join(folder.path, inside));
    expect(cifar(folder.path, format, 'val').length).toBe(3);
    expect(cifar(folder.path, format, 'val').describe(2)).toMatch(/test\w*\.bin, image 2$/);
  });

  test('a missing file is named', () => {
    expect(failure(() => cifar(folder.path, format, 'val')).message).toMatch(/has no file test\w*\.bin/);
    expect(failure(() => cifar(join(folder.path, 'none'), format, 'val')).message).toMatch(
      /none does not exist/,
    );
    write();
    rmSync(join(folder.path, format === 'cifar-10' ? 'data_batch_3.bin' : 'train.bin'));
    expect(cifar(folder.path, format, 'val').length).toBe(3);
    expect(failure(() => cifar(folder.path, format, 'train')).message).toMatch(
      /(batch_3|train)\.bin cannot be read/,
    );
  });

  test('a file length that is not a whole number of images', () => {
    write();
    for (const bytes of [Buffer.alloc(0), cifarRecords(1, [10]).subarray(1), Buffer.alloc(3072)]) {
      const file = folder.write(format === 'cifar-10' ? 'test_batch.bin' : 'test.bin', bytes);
      const { message, hint } = failure(() => cifar(folder.path, format, 'val'));
      expect(message).toContain(`${file} has ${bytes.length} bytes, which is not a multiple of 307`);
      expect(hint).toMatch(/binary\.tar\.gz/);
    }
  });
});

describe('CIFAR-10', () => {
  test('a batch cut between two images', () => {
    writeTen();
    folder.write('data_batch_4.bin', cifarRecords(4, [10], 2));
    expect(failure(() => cifar(folder.path, 'cifar-10', 'train')).message).toMatch(
      /data_batch_4\.bin has 6146 bytes, .*data_batch_1\.bin 9219/,
    );
  });

  test('an invalid label', () => {
    writeTen();
    const bytes = cifarRecords(6, [10]);
    bytes[3073] = 10;
    folder.write('test_batch.bin', bytes);
    expect(failure(() => cifar(folder.path, 'cifar-10', 'val')).message).toMatch(
      /label 10 of 10 classes at image 1/,
    );
  });

  test('the Python version, and what to do', () => {
    folder.write('cifar-10-batches-py/data_batch_1', '');
    expect(failure(() => cifar(folder.path, 'cifar-10', 'val')).hint).toMatch(/binary version/);
  });
});

test('an invalid coarse label', () => {
  const bytes = cifarRecords(8, [20, 100]);
  bytes[0] = 20;
  folder.write('test.bin', bytes);
  expect(failure(() => cifar(folder.path, 'cifar-100', 'val')).message).toMatch(
    /label 20 of 20 classes at image 0/,
  );
});

describe('names of the classes', () => {
  const names = Array.from({ length: 10 }, (_, i) => `class ${i}`);

  test('from the text file, otherwise numbers', () => {
    writeTen();
    expect(cifar(folder.path, 'cifar-10', 'val').classes.slice(8)).toEqual(['8', '9']);
    folder.write('batches.meta.txt', `${names.join('\n')}\n\n`);
    expect(cifar(folder.path, 'cifar-10', 'val').classes).toEqual(names);
    folder.write('batches.meta.txt', `${names.join('\r\n')}\r\n`);
    expect(cifar(folder.path, 'cifar-10', 'train').classes).toEqual(names);
  });

  test('another number of names than classes', () => {
    writeTen();
    folder.write('batches.meta.txt', 'one\ntwo\n');
    expect(failure(() => cifar(folder.path, 'cifar-10', 'val')).message).toMatch(
      /lists 2 class names instead of 10/,
    );
  });
});

test('a mutated file is read or refused', { timeout: FUZZ_TIMEOUT }, () => {
  const original = cifarRecords(8, [20, 100]);
  const refused = refusals((run) => {
    const bytes = mutate(original, randomStream(['cifar', run]));
    folder.write('test.bin', bytes);
    const dataset = cifar(folder.path, 'cifar-100', 'val');
    expect(dataset.length * 3074).toBe(bytes.length);
    for (const i of indicesOf(dataset)) {
      expect(dataset.label(i)).toBeLessThan(100);
      expect(storedBytes(dataset, i).length).toBe(3072);
    }
  });
  expect(refused).toBeGreaterThan(FUZZ_RUNS / 4);
  expect(refused).toBeLessThan(FUZZ_RUNS);
});
