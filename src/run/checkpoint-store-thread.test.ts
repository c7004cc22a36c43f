import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InputError, RunError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import { latestCheckpoint, saveCheckpoint, saveCheckpointInThread } from './checkpoint-store.js';

let folder: string;
let phase: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'checkpoints-'));
  phase = join(folder, 'PT');
  mkdirSync(phase);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** More than a chunk of writing. */
const content = () => {
  const big = Float32Array.from({ length: 700_000 }, (_, i) => i);
  const of = (values: Float32Array): TensorData => ({
    dtype: 'F32',
    shape: [values.length],
    data: new Uint8Array(values.buffer),
  });
  return {
    model: new Map([
      ['b', of(big)],
      ['a', of(new Float32Array(0))],
    ]),
    optimizer: new Map([['exp_avg', of(Float32Array.of(1, 2, 3))]]),
    manifest: { phase: 'PT' },
    isBest: true,
  };
};

test('a thread writes the same bytes, hashes and pointers', async () => {
  const other = join(folder, 'E2E');
  mkdirSync(other);
  saveCheckpoint(other, 7, content());
  const saving = saveCheckpointInThread(phase, 7, content());
  expect(latestCheckpoint(phase).checkpoint).toBeUndefined();
  const saved = await saving;
  expect(latestCheckpoint(phase).checkpoint).toEqual(saved);
  for (const name of [
    '7/model.safetensors',
    '7/optimizer.safetensors',
    '7/manifest.json',
    'latest',
    'best',
  ]) {
    const [a, b] = [phase, other].map((root) => readFileSync(join(root, 'checkpoints', name)));
    expect(a.equals(b), name).toBe(true);
  }
  expect(readdirSync(join(phase, 'checkpoints')).sort()).toEqual(['7', 'best', 'latest']);
});

test('a write error is the same as without a thread, and nothing is left', async () => {
  const saving = saveCheckpointInThread(phase, 7, content());
  rmSync(phase, { recursive: true });
  await expect(saving).rejects.toThrow(RunError);
  expect(existsSync(phase)).toBe(false);

  mkdirSync(phase);
  writeFileSync(join(phase, 'checkpoints'), '');
  await expect(saveCheckpointInThread(phase, 7, content())).rejects.toThrow(InputError);
});
