import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { checkpointFeatures, openDataset, probeCheckpoint } from '../src/index.js';
import { readSafetensors } from '../src/weights/safetensors/safetensors.js';
import { cli, temporaryFolder, writeImages } from './cli-support.js';
import { numbers } from './support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const CHECKPOINT = 'test/fixtures/interop/timm.safetensors';
const SETTINGS = ['model.heads=4', 'run.device=cpu', 'run.threads=1'];
const SET = SETTINGS.flatMap((each) => ['--set', each]);
const ask = (...args: string[]) => cli([...args, ...SET]);

beforeAll(() => writeImages(at('images'), { train: 12, val: 5 }));

/** The shape and the elements of a .npy file. */
function npy(path: string): { shape: number[]; values: Float32Array | BigInt64Array } {
  const bytes = readFileSync(path);
  const head = bytes.toString('latin1', 10, 10 + bytes.readUInt16LE(8));
  expect((10 + head.length) % 64).toBe(0);
  const shape = /'shape': \(([\d, ]+)\)/
    .exec(head)?.[1]
    .split(',')
    .filter((part) => part.trim())
    .map(Number);
  const data = Uint8Array.from(bytes.subarray(10 + head.length)).buffer;
  const values = head.includes("'<f4'") ? new Float32Array(data) : new BigInt64Array(data);
  return { shape: shape ?? [], values };
}

describe('features', () => {
  test('.npy, .safetensors, images without labels, and the library have the same rows', async () => {
    const data = ['--data', at('images'), '--batch-size', '4'];
    const [a, b, c] = await Promise.all([
      ask('features', CHECKPOINT, ...data, '--out', at('a.npy')),
      ask('features', CHECKPOINT, ...data, '--out', at('b.safetensors'), '--json'),
      ask('features', CHECKPOINT, at('images/val'), '--batch-size', '4', '--out', at('c.npy')),
    ]);
    expect([a.code, b.code, c.code]).toEqual([0, 0, 0]);
    expect(a.stdout).toContain('16 features of 10 images');
    expect(JSON.parse(b.stdout)).toMatchObject({ images: 10, width: 16, skipped: 0 });
    const features = npy(at('a.npy'));
    expect(features.shape).toEqual([10, 16]);
    const { tensors, metadata } = readSafetensors(at('b.safetensors'));
    expect([...features.values]).toEqual(numbers(tensors.get('features') as TensorData));
    expect(JSON.parse(metadata.classes)).toEqual(['bright', 'dark']);
    const labels = npy(at('a.labels.npy'));
    expect(labels.shape).toEqual([10]);
    expect([...labels.values].map(Number)).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    expect(tensors.get('labels')?.dtype).toBe('I64');
    expect(npy(at('c.npy'))).toEqual(features);
    const table = readFileSync(at('a.csv'), 'utf8').trimEnd().split('\n');
    expect(table.slice(0, 2)).toEqual(['image,label,class', `${at('images/val/bright/0.png')},0,bright`]);
    expect(table.length).toBe(11);

    const found: number[] = [];
    const { val } = openDataset({ format: 'folder', path: at('images') });
    const options = { settings: SETTINGS, batchSize: 3 };
    for await (const batch of checkpointFeatures(CHECKPOINT, val, options)) found.push(...batch.features);
    const difference = found.map((value, i) => Math.abs(value - Number(features.values[i])));
    expect(Math.max(...difference)).toBeLessThan(1e-5);
  });

  test('an image that cannot be read is listed and left out; exit status 1', async () => {
    await writeImages(at('damaged'), { train: 0, val: 3 });
    writeFileSync(at('damaged/val/dark/1.png'), 'not a PNG');
    const { code, stdout, stderr } = await ask('features', CHECKPOINT, at('damaged'), '--out', at('d.npy'));
    expect(code).toBe(1);
    expect(stdout).toContain('16 features of 5 images');
    expect(stderr).toContain('damaged/val/dark/1.png');
    expect(npy(at('d.npy')).shape).toEqual([5, 16]);
    expect(readFileSync(at('d.csv'), 'utf8')).not.toContain('dark/1.png');
  });

  test.each([
    [['images', '--out', 'x.txt'], 'the name must end in .safetensors or .npy'],
    [['--out', 'x.npy'], 'name either paths of images or a data set'],
  ])('%j: exit status 2', async (args, message) => {
    const { code, stderr } = await ask('features', CHECKPOINT, ...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe('probe', () => {
  test('scores of nearest neighbours and of the linear probe; the library gives the same', async () => {
    const args = ['--data', at('images'), '--knn', '3,20', '--linear', '--c', '2', '--json'];
    const { code, stdout } = await ask('probe', CHECKPOINT, ...args);
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      train_images: 24,
      images: 10,
      width: 16,
      linear: { c: 2, converged: true },
    });
    expect(result.knn.map(({ k, vote }: { k: number; vote: string }) => [k, vote])).toEqual([
      [3, 'weighted'],
      [3, 'majority'],
      [20, 'weighted'],
      [20, 'majority'],
    ]);
    for (const { top1 } of [...result.knn, result.linear]) expect(top1).toBeGreaterThanOrEqual(50);
    const options = { settings: SETTINGS, knn: { ks: [3, 20] }, linear: { c: 2 } };
    const found = await probeCheckpoint(
      CHECKPOINT,
      openDataset({ format: 'folder', path: at('images') }),
      options,
    );
    expect(found.knn.map(({ top1 }) => top1)).toEqual(result.knn.map(({ top1 }: { top1: number }) => top1));
    expect(found.linear?.top1).toBe(result.linear.top1);
  });

  test.each([
    [['--knn', '25'], '25 neighbours of 24 training images'],
    [['--split', 'held-out'], 'does not record a data.split'],
  ])('%j: exit status 2', async (args, message) => {
    const { code, stderr } = await ask('probe', CHECKPOINT, '--data', at('images'), ...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
