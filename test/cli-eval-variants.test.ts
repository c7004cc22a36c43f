import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { cli, temporaryFolder } from './cli-support.js';
import { goldenPath, goldenTensors, numbers } from './support.js';

// ImageNet's other test sets, in their published layouts, with the ten classes of the golden model. What is expected is computed from
// the logits of the official code.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const IDS = Array.from({ length: 10 }, (_, label) => `n0000000${label}`);
const tensors = goldenTensors('b_batch16.safetensors');
const numbersOf = (key: string) => numbers(tensors.get(key) as TensorData);
const labels = numbersOf('labels');
const rows = labels.map((_, i) => numbersOf('logits.FT').slice(10 * i, 10 * (i + 1)));

const files = readdirSync(goldenPath('png')).sort();
const numberOf = (i: number) => String(i + 1).padStart(8, '0');

beforeAll(() => {
  for (const [i, file] of files.entries()) {
    copy(file, at('val', IDS[labels[i]], `ILSVRC2012_val_${numberOf(i)}.png`));
    copy(file, at('v2', String(labels[i]), `${i}.png`));
  }
  writeFileSync(at('classes.txt'), IDS.join('\n'));
});

function copy(file: string, to: string): void {
  mkdirSync(join(to, '..'), { recursive: true });
  copyFileSync(join(goldenPath('png'), file), to);
}

async function evaluate(...args: string[]) {
  const weights = [goldenPath('ckpt/FT.pth'), '--set', 'model.heads=4', '--batch-size', '5'];
  const { code, stdout, stderr } = await cli(['eval', ...weights, ...args, '--json']);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return { stderr, result: JSON.parse(stdout) };
}

/** The positions of the logits, from the largest to the smallest. */
const ranked = (row: readonly number[]) => row.map((_, i) => i).sort((a, b) => row[b] - row[a]);
const share = (hits: readonly boolean[]) => (100 * hits.filter(Boolean).length) / hits.length;

test('A and R: predictions, loss and calibration are among the classes of the folders only', async () => {
  const args = ['--data', at('val'), '--classes', at('classes.txt')];
  const { result: all } = await evaluate(...args);
  const { result } = await evaluate(...args, '--present-classes');
  const present = [...new Set(labels)].sort((a, b) => a - b);
  expect(present.length).toBeLessThan(10);
  const restricted = rows.map((row) => present.map((label) => row[label]));
  const places = labels.map((label) => present.indexOf(label));
  const losses = restricted.map((row, i) =>
    Math.log(row.reduce((sum, value) => sum + Math.exp(value - row[places[i]]), 0)),
  );
  const loss = losses.reduce((a, b) => a + b) / losses.length;
  expect(result.top1).toBe(share(restricted.map((row, i) => ranked(row)[0] === places[i])));
  expect(Math.abs(result.loss - loss)).toBeLessThan(1e-5);
  expect(Math.abs(all.loss - loss)).toBeGreaterThan(1e-3);
  expect(result.present_classes).toBe(present.length);
  expect(result.confusions.every(([, guess]: number[]) => present.includes(guess))).toBe(true);
});

test('ReaL: right if the prediction is in the list of its image; empty lists are left out', async () => {
  // For every third image no label, for the others the second most likely class and sometimes the most likely one.
  const real = rows.map((row, i) => {
    const [first, second] = ranked(row);
    return i % 3 === 0 ? [] : i % 2 === 0 ? [second, first] : [second];
  });
  writeFileSync(at('real.json'), JSON.stringify([...real, [0], [1]]));
  const args = ['--data', at('val'), '--classes', at('classes.txt'), '--real-labels', at('real.json')];
  const { result, stderr } = await evaluate(...args);
  const counted = real.flatMap((list, i) => (list.length === 0 ? [] : [{ list, order: ranked(rows[i]) }]));
  expect(result.real).toEqual({
    images: counted.length,
    without_labels: real.length - counted.length,
    top1: share(counted.map(({ list, order }) => list.includes(order[0]))),
    top5: share(counted.map(({ list, order }) => order.slice(0, 5).some((each) => list.includes(each)))),
  });
  expect(result.real.top1).toBeGreaterThan(0);
  expect(result.real.top1).toBeLessThan(100);
  expect(stderr).not.toContain('real.json');

  const perImage = [...args, '--per-image', at('rows.jsonl'), '--top', '2'];
  const { result: same } = await evaluate(...perImage);
  expect(same.real).toEqual(result.real);
});

test('V2: folders named by number have the labels of their numbers', async () => {
  const { result } = await evaluate('--data', at('v2'), '--classes', 'number');
  expect(result.top1).toBe(share(rows.map((row, i) => ranked(row)[0] === labels[i])));
});

test.each([
  ['not a list of lists', '[1, 2]', [], 'is not a list with a list of labels for each image'],
  ['labels of more classes', '[[10]]', [], 'has label 10, but the model has 10 classes'],
  ['too few images', '[[1]]', [], 'its last is 1'],
  ['other names', '[[1]]', ['v2'], 'its name has no number like ILSVRC2012_val_00000001'],
  ['another order', '[[1]]', ['val', [...IDS].reverse().join('\n')], 'but the model has another order'],
])('ReaL labels that do not fit: %s', async (_, json, [data = 'val', names = IDS.join('\n')], message) => {
  writeFileSync(at('wrong.json'), json);
  writeFileSync(at('names.txt'), names);
  const classes = data === 'v2' ? ['--classes', 'number'] : ['--classes', at('names.txt')];
  const args = ['eval', goldenPath('ckpt/FT.pth'), '--set', 'model.heads=4', '--data', at(data), ...classes];
  const { code, stderr } = await cli([...args, '--real-labels', at('wrong.json')]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
  expect(stderr).not.toContain('    at ');
});
