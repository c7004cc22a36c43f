import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, expect, test, vi } from 'vitest';
import { InputError, RunError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import * as safetensors from '../weights/safetensors/safetensors.js';
import {
  bestCheckpoint,
  type Checkpoint,
  latestCheckpoint,
  newestStep,
  pointToLatest,
  prune,
  readCheckpoint,
  removeLeftovers,
  saveCheckpoint,
} from './checkpoint-store.js';

vi.mock('../weights/safetensors/safetensors.js', { spy: true });

let phase: string;
let root: string;
beforeEach(() => {
  phase = join(mkdtempSync(join(tmpdir(), 'checkpoints-')), 'MT', '1');
  root = join(phase, 'checkpoints');
  mkdirSync(phase, { recursive: true });
});

const tensors = (...values: number[]) =>
  new Map<string, TensorData>([
    [
      'stages.0.w',
      { dtype: 'F32', shape: [values.length], data: new Uint8Array(new Float32Array(values).buffer) },
    ],
  ]);

const save = (step: number) =>
  saveCheckpoint(phase, step, { model: tensors(step, 2), optimizer: tensors(-step), manifest: { epoch: 3 } });

const latestStep = () => latestCheckpoint(phase).checkpoint?.step;
const pointer = (name: string) => readFileSync(join(root, name), 'utf8').trim();

test('a saved checkpoint is found, complete, with a manifest', () => {
  expect(latestCheckpoint(phase)).toEqual({ skipped: [] });
  const saved = save(40);
  const { checkpoint, skipped } = latestCheckpoint(phase);
  expect(skipped).toEqual([]);
  expect(checkpoint).toEqual(saved);
  expect(checkpoint?.manifest).toMatchObject({ format: 1, step: 40, epoch: 3 });
  expect(checkpoint?.manifest.files['model.safetensors']).toEqual({
    bytes: readFileSync(join(root, '40', 'model.safetensors')).length,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(readCheckpoint(saved)).toEqual({ model: tensors(40, 2), optimizer: tensors(-40) });
  expect(readdirSync(root).sort()).toEqual(['40', 'latest']);
  expect(pointer('latest')).toBe('40');
});

test('the newest is the newest by number: 1000 after 999', () => {
  save(999);
  save(1000);
  expect(latestStep()).toBe(1000);
});

test('saving a step again replaces it', () => {
  save(5);
  const again = { model: tensors(7), optimizer: tensors(8), manifest: {} };
  const saved = saveCheckpoint(phase, 5, again);
  expect(readCheckpoint(saved).model).toEqual(tensors(7));
  expect(readdirSync(root).sort()).toEqual(['5', 'latest']);
});

test.each([
  ['while its files are written', () => rmSync(join(root, '.tmp-20-x', 'manifest.json'))],
  ['before the rename', () => {}],
])('killed %s: the previous checkpoint is used, and the next save removes the leftover', (_, damage) => {
  save(10);
  cpSync(join(root, '10'), join(root, '.tmp-20-x'), { recursive: true });
  damage();
  expect(latestStep()).toBe(10);
  save(30);
  expect(readdirSync(root).sort()).toEqual(['10', '30', 'latest']);
});

test('killed before the pointer moved: the newer complete checkpoint is used', () => {
  save(10);
  save(20);
  writeFileSync(join(root, 'latest'), '10\n');
  expect(latestStep()).toBe(20);
  rmSync(join(root, 'latest'));
  expect(latestStep()).toBe(20);
});

test.each<[string, string, (folder: string) => void]>([
  ['a truncated model', 'model.safetensors has', (f) => truncateSync(join(f, 'model.safetensors'), 60)],
  [
    'a changed byte',
    'the hash of model.safetensors differs',
    (f) => flipLastByte(join(f, 'model.safetensors')),
  ],
  ['a lost optimizer', 'optimizer.safetensors is missing', (f) => rmSync(join(f, 'optimizer.safetensors'))],
  ['a lost manifest', 'ENOENT', (f) => rmSync(join(f, 'manifest.json'))],
  ['a torn manifest', 'JSON', (f) => truncateSync(join(f, 'manifest.json'), 20)],
  [
    'a manifest of another version',
    'format 2',
    (f) => writeFileSync(join(f, 'manifest.json'), '{"format":2}'),
  ],
  ['a manifest of nothing', 'format', (f) => writeFileSync(join(f, 'manifest.json'), '{}')],
  ['a lost folder', 'the folder is missing', (f) => rmSync(f, { recursive: true })],
])('%s: the next older checkpoint is used, and the reason is reported', (_, reason, damage) => {
  save(9);
  save(10);
  damage(join(root, '10'));
  const { checkpoint, skipped } = latestCheckpoint(phase);
  expect(checkpoint?.step).toBe(9);
  expect(skipped).toEqual([{ folder: join(root, '10'), reason: expect.stringContaining(reason) }]);
});

test('if every checkpoint is damaged, none is found and each is reported', () => {
  save(1);
  save(2);
  for (const step of ['1', '2']) truncateSync(join(root, step, 'model.safetensors'), 3);
  const { checkpoint, skipped } = latestCheckpoint(phase);
  expect(checkpoint).toBeUndefined();
  expect(skipped.map(({ folder }) => folder)).toEqual([join(root, '2'), join(root, '1')]);
});

test('best is always the checkpoint that it was set to', () => {
  save(1);
  save(2);
  expect(bestCheckpoint(phase)).toEqual({ skipped: [] });
  writeFileSync(join(phase, 'checkpoints/best'), '1\n');
  expect(bestCheckpoint(phase).checkpoint?.step).toBe(1);
  truncateSync(join(root, '1', 'model.safetensors'), 3);
  expect(bestCheckpoint(phase)).toEqual({ skipped: [expect.objectContaining({ folder: join(root, '1') })] });
});

test('killed between writing the pointer best and its checkpoint: saved again, it is the best', () => {
  save(1);
  writeFileSync(join(phase, 'checkpoints/best'), '1\n');
  const best = { model: tensors(2), optimizer: tensors(2), manifest: {}, isBest: true };
  saveCheckpoint(phase, 2, best);
  rmSync(join(root, '2'), { recursive: true });
  writeFileSync(join(root, 'latest'), '1\n');
  expect(latestStep()).toBe(1);
  saveCheckpoint(phase, 2, best);
  expect(bestCheckpoint(phase)).toMatchObject({ checkpoint: { step: 2 }, skipped: [] });
});

test.each([
  [2, ['1', '4', '5', 'best', 'latest']],
  [0, ['1', '5', 'best', 'latest']],
  [9, ['1', '2', '3', '4', '5', 'best', 'latest']],
])('pruning to %i keeps the newest, and latest and best', (keep, left) => {
  for (const step of [1, 2, 3, 4, 5]) save(step);
  writeFileSync(join(phase, 'checkpoints/best'), '1\n');
  mkdirSync(join(root, '.tmp-6-x'));
  prune(phase, keep);
  expect(readdirSync(root).sort()).toEqual(left);
  expect(bestCheckpoint(phase).checkpoint?.step).toBe(1);
});

test('pruning keeps the checkpoint that the pointer names, even if newer folders exist', () => {
  for (const step of [1, 2, 3]) save(step);
  writeFileSync(join(root, 'latest'), '1\n');
  prune(phase, 1);
  expect(existsSync(join(root, '1'))).toBe(true);
  expect(existsSync(join(root, '2'))).toBe(false);
});

test('damaged checkpoints after the resumed step do not count as kept checkpoints', () => {
  for (const step of [10, 20, 30]) save(step);
  for (const step of ['20', '30']) truncateSync(join(root, step, 'model.safetensors'), 60);
  expect(latestStep()).toBe(10);
  save(15);
  prune(phase, 2);
  expect(readdirSync(root).sort()).toEqual(['10', '15', 'latest']);
});

test('while a checkpoint is written the newest good one exists, whatever is kept', () => {
  save(1);
  vi.mocked(safetensors.writeSafetensors).mockImplementationOnce(() => {
    expect(latestStep()).toBe(1);
    throw new RunError('killed');
  });
  expect(() => save(2)).toThrow('killed');
  save(2);
  prune(phase, 0);
  expect(latestStep()).toBe(2);
});

test.each(['', '\n', 'ten', '10 20', '-1', '\0\0\0'])('a pointer with the content %j is ignored', (text) => {
  save(10);
  save(20);
  for (const name of ['latest', 'best']) writeFileSync(join(root, name), text);
  expect(latestStep()).toBe(20);
  expect(bestCheckpoint(phase)).toEqual({ skipped: [] });
  prune(phase, 1);
  expect(latestStep()).toBe(20);
});

test('a flipped byte or a truncation is always detected', () => {
  save(9);
  const whole = join(root, '9');
  fc.assert(
    fc.property(
      fc.constantFrom('model.safetensors', 'optimizer.safetensors'),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      fc.boolean(),
      (file, place, flip, isCut) => {
        const folder = join(root, '10');
        cpSync(whole, folder, { recursive: true });
        const bytes = readFileSync(join(folder, file));
        bytes[place % bytes.length] ^= flip;
        writeFileSync(join(folder, file), isCut ? bytes.subarray(0, place % bytes.length) : bytes);
        expect(latestStep()).toBe(9);
        rmSync(folder, { recursive: true });
      },
    ),
    { numRuns: 100 },
  );
});

test('a complete checkpoint under the name of another step is invalid', () => {
  save(9);
  cpSync(join(root, '9'), join(root, '10'), { recursive: true });
  expect(latestCheckpoint(phase).skipped).toEqual([
    { folder: join(root, '10'), reason: 'manifest.json belongs to step 9' },
  ]);
});

test('a pointer that a killed writer left behind is moved to the checkpoint found', () => {
  save(8);
  save(9);
  writeFileSync(join(root, 'latest'), '8\n');
  const { checkpoint } = latestCheckpoint(phase);
  pointToLatest(phase, checkpoint as Checkpoint);
  expect(pointer('latest')).toBe('9');
});

test('leftovers are removed: temporary files and folders, and nothing else', () => {
  save(3);
  mkdirSync(join(root, '.tmp-6-x'));
  writeFileSync(join(root, '.tmp-6-x', 'model.safetensors'), '');
  writeFileSync(join(phase, '.tmp-metrics.jsonl-x'), '');
  writeFileSync(join(phase, 'metrics.jsonl'), '');
  removeLeftovers(phase);
  expect(readdirSync(root).sort()).toEqual(['3', 'latest']);
  expect(readdirSync(phase).sort()).toEqual(['checkpoints', 'metrics.jsonl']);
  removeLeftovers(join(phase, 'nowhere'));
});

test('the newest step is that of the newest folder, complete or not', () => {
  expect(newestStep(phase)).toBe(0);
  save(999);
  mkdirSync(join(root, '1000'));
  expect(newestStep(phase)).toBe(1000);
});

test('a deleted phase folder is not recreated', () => {
  save(1);
  rmSync(phase, { recursive: true });
  expect(() => save(2)).toThrow(
    expect.objectContaining({ name: 'RunError', message: expect.stringContaining('no longer exists') }),
  );
  expect(existsSync(phase)).toBe(false);
});

test('a full disk is a run error that names the checkpoint; earlier ones stay, and no partial one is left', () => {
  save(1);
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  vi.mocked(safetensors.writeSafetensors).mockImplementationOnce(() => {
    throw new RunError('cannot be written', { cause: full });
  });
  expect(() => save(2)).toThrow(
    expect.objectContaining({
      name: 'RunError',
      message: expect.stringContaining(join(root, '2')),
      hint: expect.stringContaining('Data written before is intact'),
    }),
  );
  expect(readdirSync(root).sort()).toEqual(['1', 'latest']);
  expect(latestStep()).toBe(1);
});

test('a folder that cannot be written is an input error that names it', () => {
  rmSync(phase, { recursive: true });
  writeFileSync(phase, 'a file where the folder should be');
  expect(() => save(1)).toThrow(InputError);
  expect(() => save(1)).toThrow(root);
});

function flipLastByte(path: string) {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(path, bytes);
}
