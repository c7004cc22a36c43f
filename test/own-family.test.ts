import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as di from 'deep-incubation';
import { beforeAll, expect, test, vi } from 'vitest';
import type { convnet as family } from '../examples/convnet.js';
import { startDashboard } from '../src/dashboard/server.js';
import { givenWeights } from '../src/launch/start/given-weights.js';
import type { Origin } from '../src/phase/given-weights.js';
import { runFolder } from '../src/run/run-folder.js';
import { temporaryFolder } from './cli-support.js';
import { CLASSES, SIDE, shownIn, sourceOf, writeStripes } from './examples-support.js';

// examples/convnet.ts: a user's own family, trained through a recipe in a run folder.

const folder = temporaryFolder();
const [images, runDir] = [join(folder, 'images'), join(folder, 'run')];
let convnet: typeof family;
const printed: string[] = [];

beforeAll(async () => {
  await writeStripes(images);
  vi.spyOn(console, 'log').mockImplementation((line) => printed.push(line));
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
  expect(printed.at(-1)).toBe(`npx deep-incubation report ${runDir}`);
  expect(printed.slice(-5, -1).map((line) => line.split(':')[0])).toEqual(['PT', 'MT/0', 'MT/1', 'FT']);
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

test('report and status read its run, although the commands do not know the family', () => {
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

test('runRecipe writes the summary and the report', () => {
  const summary = JSON.parse(readFileSync(runFolder(runDir).summary, 'utf8'));
  expect(summary.phases.map(({ phase }: { phase: string }) => phase)).toEqual(['PT', 'MT/0', 'MT/1', 'FT']);
  expect(readFileSync(join(runFolder(runDir).report, 'index.html'), 'utf8')).toContain('ConvNet');
});

test('watch shows the run', async () => {
  const dashboard = await startDashboard({ runs: [runDir] });
  try {
    const response = await fetch(new URL('api/runs', dashboard.url));
    expect(response.status).toBe(200);
    expect(JSON.stringify(await response.json())).toContain('ConvNet');
  } finally {
    await dashboard.close();
  }
});

const evaluated = async (run: string) => {
  const { val } = di.openDataset({ format: 'folder', path: images });
  return di.evaluateCheckpoint(run, { dataset: val, families: [convnet], device: 'cpu' });
};

test('a checkpoint is evaluated with the result of its run', async () => {
  const [last] = di
    .readMetrics(join(runDir, 'FT', 'metrics.jsonl'))
    .filter((record) => record.kind === 'eval')
    .slice(-1);
  const { top1, loss, images: count } = await evaluated(runDir);
  expect({ top1, count }).toEqual({ top1: last.top1, count: 2 * CLASSES });
  expect(loss).toBeCloseTo(last.loss, 5);
  const { val } = di.openDataset({ format: 'folder', path: images });
  await expect(di.evaluateCheckpoint(runDir, { dataset: val, device: 'cpu' })).rejects.toThrow(
    'its model is of the family convnet, which is not built in',
  );
});

test.each(['PT', 'MT/0', 'MT/1'])(
  'a checkpoint of %s, with fewer blocks, is evaluated as well',
  async (phase) => {
    const result = JSON.parse(readFileSync(join(runDir, phase, 'result.json'), 'utf8'));
    expect(await evaluated(join(runDir, phase))).toMatchObject({ top1: result.top1, images: 2 * CLASSES });
  },
);

/** A recipe that starts from weights, for runs of an epoch. */
const startingRecipe = (start: object, model: object = {}) => {
  const plain = JSON.parse(JSON.stringify(recipeOf({ width: 16, ...model })));
  const training = { ...plain.training, epochs: 1 };
  return di.defineRecipe({ ...plain, training, start }, { families: [convnet] });
};

test('a run starts from the model of another run, even after that was deleted', async () => {
  const other = join(folder, 'other');
  cpSync(runDir, other, { recursive: true });
  const run = {
    recipe: startingRecipe({ model: join(other, 'FT') }),
    runDir: join(folder, 'tuned'),
    device: 'cpu',
  };
  const stop = AbortSignal.abort();
  await expect(di.runRecipe({ ...run, signal: stop })).rejects.toThrow(di.Interrupted);
  rmSync(other, { recursive: true });
  await di.runRecipe(run);
  const [first] = di
    .readMetrics(join(run.runDir, 'FT', 'metrics.jsonl'))
    .filter(({ kind }) => kind === 'eval');
  expect(first).toMatchObject({ step: 0, top1: (await evaluated(runDir)).top1 });
});

test('modules are incubated in the meta model of another run', async () => {
  const run = join(folder, 'modules');
  const results = await di.runRecipe({
    recipe: startingRecipe({ meta: join(runDir, 'PT') }),
    runDir: run,
    device: 'cpu',
  });
  expect(results.map(({ phase }) => phase)).toEqual(['MT/0', 'MT/1', 'FT']);
  const [, frozen] = await weightsIn(run, 'MT/0');
  expect(frozen).toEqual((await weightsIn(runDir, 'PT'))[1]);
});

test('weights of an undivided model, in a single file, with a new head', async () => {
  const [first, last] = await weightsIn(runDir, 'FT');
  const blocks = [...last].map(
    ([name, tensor]) =>
      [name.replace(/^blocks\.(\d+)/, (_, i) => `blocks.${Number(i) + 2}`), tensor] as const,
  );
  const file = join(folder, 'undivided.safetensors');
  di.writeModelFile(file, [new Map([...first, ...blocks])], { to: 'deep-incubation' });
  const run = join(folder, 'fresh');
  const recipe = startingRecipe({ model: file, head: 'new' });
  // Aborted at its first step: the checkpoint contains the initial weights.
  await expect(
    di.runRecipe({ recipe, runDir: run, device: 'cpu', signal: AbortSignal.abort() }),
  ).rejects.toThrow(di.Interrupted);
  const phase = di.phasesOf(recipe).find(({ name }) => name === 'FT') as unknown as Origin;
  const given = await givenWeights.start('start.model', phase, run);
  expect(given.map(({ weights }) => [...weights.keys()].sort())).toEqual([
    [...first.keys()].sort(),
    [...last.keys()].filter((name) => !name.startsWith('fc.')).sort(),
  ]);
  expect(given.map(({ isFresh }) => isFresh?.('fc.weight') ?? false)).toEqual([false, true]);
});

test('weights of another geometry are refused', async () => {
  const recipe = startingRecipe({ model: join(runDir, 'FT') }, { width: 8 });
  const notes: string[] = [];
  const run = {
    recipe,
    runDir: join(folder, 'narrow'),
    device: 'cpu',
    note: (line: string) => notes.push(line),
  };
  await expect(di.runRecipe(run)).rejects.toThrow(
    /has shape \[16, 3, 3, 3\], but the model needs \[8, 3, 3, 3\]/,
  );
  expect(notes.join('\n')).toContain("states model.width 16, the recipe 8: the recipe's is used");
});

test('a phase is trained again with other settings', async () => {
  const again = join(folder, 'again');
  cpSync(runDir, again, { recursive: true });
  const families = [convnet];
  expect(() => di.redoPhase(again, 'FT', [])).toThrow(/model.family: expected one of vit, resnet/);
  const { phases } = di.redoPhase(again, 'FT', ['phases.FT.epochs=1'], { families });
  expect(phases).toEqual(['FT']);
  const recipe = di.readRecipe(runFolder(again).recipe, [], { families });
  const results = await di.runRecipe({ recipe, runDir: again, device: 'cpu' });
  const steps = (run: string) => di.readRunStatus(run).phases.find(({ phase }) => phase === 'FT')?.steps;
  expect(results.at(-1)?.steps).toBe(Math.floor((16 * CLASSES) / 64));
  expect(steps(runDir)).not.toBe(steps(again));
});

test('a module is packed, incubated in another run, and returned', async () => {
  const families = [convnet];
  const [work, module, otherRun] = ['work.tar', 'module.tar', 'other-run'].map((name) => join(folder, name));
  await di.packWork(runDir, 'MT/1', work, { families });
  await di.unpackWork(work, otherRun, { families });
  const settings = [`data.path=${JSON.stringify(images)}`];
  const recipe = di.readRecipe(join(otherRun, 'recipe.json'), settings, { families });
  await di.runPhase({ recipe, phase: 'MT/1', runDir: otherRun, device: 'cpu' });
  expect(await weightsIn(otherRun, 'MT/1')).toEqual(await weightsIn(runDir, 'MT/1'));

  di.packModule(otherRun, 'MT/1', module, { families });
  const original = join(folder, 'original');
  cpSync(runDir, original, { recursive: true });
  const { previous } = await di.unpackModule(module, original, { families, replace: true, note: () => {} });
  expect(previous).toBe(join(original, 'previous', '1'));
  expect(await weightsIn(original, 'MT/1')).toEqual(await weightsIn(runDir, 'MT/1'));
});

test('a recipe without the family is refused', () => {
  const input = JSON.parse(JSON.stringify(recipeOf()));
  expect(() => di.defineRecipe(input)).toThrow(/expected one of vit, resnet$/);
});

test.each([
  ['run', () => [runDir]],
  ['plan', () => [join(runDir, 'recipe.json')]],
  ['redo', () => [runDir, 'FT']],
  ['phase', () => [runDir, 'FT']],
  ['pack', () => [runDir, join(folder, 'x.tar'), '--for', 'MT/0']],
  ['eval', () => [runDir, '--data', images]],
  ['convert', () => [runDir, join(folder, 'x.safetensors'), '--to', 'timm']],
  ['export', () => [runDir, join(folder, 'x.onnx')]],
  ['predict', () => [runDir, join(images, 'val/0/0.png')]],
])('%s does not know the family: an error that says what to do', (command, args) => {
  const ended = spawnSync(process.execPath, ['dist/cli/main.js', command, ...args()], { encoding: 'utf8' });
  expect(ended).toMatchObject({ status: 2, stdout: '' });
  expect(ended.stderr).toMatch(/hint: .*(runRecipe|family).*docs\/own-model\.md/);
});

test('docs/own-model.md shows the example unchanged', () => {
  expect(shownIn('Batch norm, and blocks that differ')).toBe(sourceOf('convnet.ts'));
});
