import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { readRecipe } from '../src/index.js';
import { writeClasses } from './class-images.js';
import { cli, temporaryFolder } from './cli-support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const data = at('colours');

beforeAll(async () => {
  await writeClasses(data, { blue: 2, green: 1, red: 0 }, 12);
  for (const part of ['train', 'val']) await writeClasses(at(`divided/${part}`), { blue: 2, red: 0 }, 8);
});

test('writes a recipe that plan accepts, with a split, and never overwrites one', async () => {
  const first = await cli(['init', data, '--out', at('a.yaml')]);
  expect(first.code).toBe(0);
  expect(first.stdout).toContain(
    '3 classes, 32 images for training, 4 for evaluation (held out: data.split)',
  );
  const plan = await cli(['plan', at('a.yaml'), '--json']);
  expect([plan.code, JSON.parse(plan.stdout).train_images]).toEqual([0, 32]);
  const before = readFileSync(at('a.yaml'), 'utf8');
  const again = await cli(['init', at('divided'), '--out', at('a.yaml')]);
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('a.yaml: the recipe exists')]);
  expect(readFileSync(at('a.yaml'), 'utf8')).toBe(before);
});

test('--print writes no file; a validation part is used as it is', async () => {
  const { code, stdout } = await cli(['init', at('divided'), '--print', '--out', at('b.yaml')]);
  expect([code, existsSync(at('b.yaml'))]).toEqual([0, false]);
  expect(stdout).not.toContain('split:');
  expect(stdout).toContain('image_size: 16 # the size of the images');
});

test.each([
  ['none', /does not exist/],
  ['a.txt', /is not a folder/],
])('%s: exit 2, no file', async (name, message) => {
  writeFileSync(at('a.txt'), '');
  const { code, stderr } = await cli(['init', at(name), '--out', at('c.yaml')]);
  expect([code, stderr, existsSync(at('c.yaml'))]).toEqual([2, expect.stringMatching(message), false]);
});

test('model.classes: auto is the number of classes of the images', async () => {
  const recipe = at('auto.json');
  const write = (more: object) =>
    writeFileSync(
      recipe,
      JSON.stringify({
        name: 'auto',
        model: { image_size: 16, patch_size: 8, classes: 'auto', width: 16, depth: 4, heads: 2 },
        incubation: { modules: 2 },
        training: { batch_size: 4 },
        data: { format: 'folder', path: data, split: { val: 0.25 }, ...more },
      }),
    );
  write({});
  expect(readRecipe(recipe).model.classes).toBe(3);
  write({ path: at('divided'), split: undefined });
  expect(readRecipe(recipe).model.classes).toBe(2);
  write({ classes: ['blue', 'green', 'red', 'yellow'] });
  expect(readRecipe(recipe).model.classes).toBe(4);
  write({ path: at('none') });
  const { code, stderr } = await cli(['plan', recipe]);
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/model\.classes: auto needs the images: .*none does not exist/),
  ]);
  write({ split: { val: 7.5 } });
  expect((await cli(['plan', recipe])).stderr).toContain('data.split.val');
});
