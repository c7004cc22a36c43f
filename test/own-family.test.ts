import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as di from 'deep-incubation';
import sharp from 'sharp';
import { beforeAll, expect, test, vi } from 'vitest';
import type { convnet as family } from '../examples/convnet.js';
import { runFolder } from '../src/run/run-folder.js';
import { temporaryFolder } from './cli-support.js';

// examples/convnet.ts: a user's own family, trained through a recipe in a run folder.

const [CLASSES, SIDE] = [10, 28];
const folder = temporaryFolder();
const [images, runDir] = [join(folder, 'images'), join(folder, 'run')];
let convnet: typeof family;
const said: string[] = [];

beforeAll(async () => {
  for (const [split, count] of Object.entries({ train: 16, val: 2 })) {
    for (let label = 0; label < CLASSES; label++) {
      const of = join(images, split, String(label));
      mkdirSync(of, { recursive: true });
      for (let i = 0; i < count; i++) {
        const pattern = (_: unknown, at: number) => 255 * (Math.floor(((at % SIDE) + i) / (label + 1)) % 2);
        const data = Uint8Array.from({ length: SIDE * SIDE }, pattern);
        await sharp(data, { raw: { width: SIDE, height: SIDE, channels: 1 } })
          .png()
          .toFile(join(of, `${i}.png`));
      }
    }
  }
  vi.spyOn(console, 'log').mockImplementation((line) => said.push(line));
  process.argv = [...process.argv.slice(0, 2), runDir, images, '2'];
  ({ convnet } = await import('../examples/convnet.js'));
});

const recipeOf = (changes: object = {}) =>
  di.defineRecipe(
    {
      name: 'own',
      model: { family: 'convnet', image_size: SIDE, channels: 3, classes: CLASSES, width: 4, ...changes },
      incubation: { modules: 2 },
      data: { format: 'folder', path: images },
      training: { epochs: 2, batch_size: 32 },
    },
    { families: [convnet] },
  );

/** Weights of a phase's last checkpoint. */
async function weightsIn(run: string, phase: string) {
  const { stages } = await di.readModelFile(newest(run, phase), { families: [convnet] });
  return stages;
}

const newest = (run: string, phase: string) =>
  join(run, phase, 'checkpoints', readFileSync(join(run, phase, 'checkpoints', 'latest'), 'utf8').trim());

test('the example trains every phase in a run folder', () => {
  expect(said.at(-1)).toBe(`npx deep-incubation report ${runDir}`);
  expect(said.slice(-5, -1).map((line) => line.split(':')[0])).toEqual(['PT', 'MT/0', 'MT/1', 'FT']);
  const { phases } = JSON.parse(readFileSync(runFolder(runDir).plan, 'utf8'));
  // stem 9 x 3 x 16 + 2 x 16, blocks 9 x 16^2 + 32 twice, 9 x 16 x 32 + 64 and 9 x 32^2 + 64, head 32 x 10 + 10
  expect(phases.find(({ phase }: { phase: string }) => phase === 'FT').parameters).toBe(
    464 + 2 * 2336 + 4672 + 9280 + 330,
  );
  const steps = di.readMetrics(join(runDir, 'FT', 'metrics.jsonl')).filter((record) => 'lr' in record);
  expect(steps.length).toBeGreaterThan(0);
  expect(di.readRunStatus(runDir).phases.map(({ phase, state }) => [phase, state])).toEqual([
    ['PT', 'done'],
    ['MT/0', 'done'],
    ['MT/1', 'done'],
    ['FT', 'done'],
  ]);
});

test('report and status read its run, though the commands do not know the family', () => {
  const command = (...args: string[]) =>
    execFileSync(process.execPath, ['dist/cli/main.js', ...args], { encoding: 'utf8' });
  expect(command('report', runDir).trim()).toBe(join(runDir, 'report', 'index.html'));
  expect(readFileSync(join(runDir, 'report', 'index.html'), 'utf8')).toContain('ConvNet');
  expect(command('status', runDir)).toContain('4 of 4 phases done');
});

test('checkpoints have the running statistics, which training has changed', async () => {
  const [first] = await weightsIn(runDir, 'FT');
  const mean = first.get('blocks.0.norm.running_mean');
  expect(mean?.shape).toEqual([16]);
  const bytes = mean?.data.slice() ?? new Uint8Array();
  const values = new Float32Array(bytes.buffer);
  expect([...values].some((value) => value !== 0)).toBe(true);
});

test('a stopped run resumes to the same weights', async () => {
  const [whole, stopped] = [join(folder, 'whole'), join(folder, 'stopped')];
  const recipe = recipeOf();
  await di.runRecipe({ recipe, runDir: whole, device: 'cpu' });
  const stop = new AbortController();
  let steps = 0;
  const onProgress = () => {
    steps += 1;
    if (steps === 2) stop.abort();
  };
  const run = { recipe, runDir: stopped, device: 'cpu' };
  await expect(di.runRecipe({ ...run, signal: stop.signal, onProgress })).rejects.toThrow(di.Interrupted);
  expect(di.readRunStatus(stopped).phases.some(({ state }) => state === 'stopped')).toBe(true);
  await di.runRecipe(run);
  expect(await weightsIn(stopped, 'FT')).toEqual(await weightsIn(whole, 'FT'));
  // The geometry is part of the recipe.
  await expect(di.runRecipe({ ...run, recipe: recipeOf({ width: 8 }) })).rejects.toThrow(
    /written by another recipe: model.width 8 instead of 4/,
  );
});

test.each([
  [{ depth: 3 }, /unknown key model.depth/],
  [{ width: 'wide' }, /model.width: /],
  [{ family: 'other' }, /model.family: expected one of vit, resnet, convnet/],
])('a recipe with the section %o is refused', (changes, message) => {
  expect(() => recipeOf(changes)).toThrow(di.InputError);
  expect(() => recipeOf(changes)).toThrow(message);
});

test('files to start from, and a recipe without the family, are refused', () => {
  const { families: _, ...recipe } = { ...recipeOf(), families: [] };
  const input = JSON.parse(JSON.stringify(recipe));
  expect(() => di.defineRecipe(input)).toThrow(/expected one of vit, resnet$/);
  const start = { model: 'x.safetensors' };
  const options = { families: [convnet] };
  expect(() => di.defineRecipe({ ...input, start }, options)).toThrow(/has no weights to start from/);
  expect(() => di.defineRecipe({ ...input, start: { meta: 'x.pth' } }, options)).toThrow(di.InputError);
});

test('docs/own-model.md shows the example as it is', () => {
  const source = readFileSync(new URL('../examples/convnet.ts', import.meta.url), 'utf8');
  const page = readFileSync(new URL('../docs/own-model.md', import.meta.url), 'utf8');
  const [, section] = page.split('\n## A family for recipes\n');
  const shown = [...section.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code);
  const squeezed = (code: string) => code.replace(/\n\n+/g, '\n').trim();
  expect(squeezed(shown.join('\n'))).toBe(squeezed(source));
});
