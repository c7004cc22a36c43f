import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { cli, temporaryFolder } from './cli-support.js';
import { goldenPath, goldenTensors, numbers } from './support.js';

const folder = temporaryFolder();
const data = ['--data', goldenPath('png')];
const evaluate = (name: string, ...args: string[]) =>
  cli(['eval', goldenPath(`ckpt/${name}.pth`), ...data, ...args]);

test.each(['FT', 'PT', 'MT_1'])('%s.pth of the official code scores as its own logits do', async (name) => {
  const { code, stdout } = await evaluate(name, '--set', 'model.heads=4', '--batch-size', '5', '--json');
  expect(code).toBe(0);
  const result = JSON.parse(stdout);
  const { loss, top1, top5 } = scoresOf(name);
  expect(result).toMatchObject({ images: 16, top1, top5 });
  expect(Math.abs(result.loss - loss)).toBeLessThan(1e-5);
  expect(result.images_per_second).toBeGreaterThan(0);
});

test('a recipe gives the heads, and its hybrids and meta model are known', async () => {
  const recipe = join(folder, 'golden.yaml');
  writeFileSync(
    recipe,
    `name: golden
model: { image_size: 28, patch_size: 4, classes: 10, width: 64, depth: 8, heads: 4 }
incubation: { modules: 4 }
data: { format: fashion-mnist }
`,
  );
  for (const name of ['FT', 'MT_1']) {
    const { code, stdout } = await evaluate(name, '--recipe', recipe, '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).top1).toBe(scoresOf(name).top1);
  }
  const wide = await evaluate('FT', '--recipe', recipe, '--set', 'model.width=32');
  expect(wide).toMatchObject({ code: 2, stdout: '' });
  expect(wide.stderr).toMatch(/stage 0: \S+ has shape \[.*64.*\], the model needs \[.*32.*\]/);
  const deep = await evaluate('FT', '--recipe', recipe, '--set', 'model.depth=12');
  expect(deep).toMatchObject({ code: 2, stdout: '' });
  expect(deep.stderr).toContain('stages of 2 2 2 2 blocks, no model of golden has');
});

test('what weights do not tell is asked for', async () => {
  const { code, stderr } = await evaluate('FT');
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /do not tell the number of attention heads\n {2}hint: give --recipe R, or --set model.heads=N\n$/,
  );
});

/** From the logits that the official code computed. */
function scoresOf(name: string): { loss: number; top1: number; top5: number } {
  const tensors = goldenTensors('b_batch16.safetensors');
  const of = (key: string) => numbers(tensors.get(key) as TensorData);
  const labels = of('labels');
  const logits = of(`logits.${name}`);
  const rows = labels.map((label, i) => {
    const row = logits.slice(10 * i, 10 * (i + 1));
    const place = row.filter((value) => value > row[label]).length;
    const loss = Math.log(row.reduce((sum, value) => sum + Math.exp(value - row[label]), 0));
    return { loss, place };
  });
  const percent = (count: number) => (100 * rows.filter(({ place }) => place < count).length) / rows.length;
  const loss = rows.reduce((sum, row) => sum + row.loss, 0) / rows.length;
  return { loss, top1: percent(1), top5: percent(5) };
}
