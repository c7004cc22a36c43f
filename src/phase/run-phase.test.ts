import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { writeImages } from '../../test/cli-support.js';
import { DEVICE } from '../../test/test-device.js';
import { InputError, Interrupted } from '../base/errors.js';
import { prepareRun } from '../launch/prepare.js';
import { runRecipePhase } from '../library/run-recipe.js';
import { defineRecipe } from '../recipe/recipe.js';
import { latestCheckpoint } from '../run/checkpoint-store.js';

vi.mock('../torch/engine.js', async (original) =>
  (await import('../../test/test-device.js')).acceptingDevice(original),
);

const folder = mkdtempSync(join(tmpdir(), 'run-phase-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => writeImages(join(folder, 'images'), { train: 16, val: 4 }));

const recipe = (modules = 2) =>
  defineRecipe({
    name: 'tiny',
    model: { image_size: 16, patch_size: 8, classes: 2, width: 16, depth: 4, heads: 2 },
    incubation: { modules },
    data: { format: 'folder', path: join(folder, 'images') },
    training: { epochs: 3, batch_size: 8, log_every: 1, checkpoint_every: 0.001, ema: 0.9 },
    run: { device: DEVICE },
  });

async function train(name: string, threadBytes: number, stopAt?: number) {
  const runDir = join(folder, name);
  prepareRun(recipe(), runDir);
  const stop = new AbortController();
  let steps = 0;
  const onProgress = (doing: string) => {
    if (doing === 'training' && ++steps === stopAt) stop.abort();
  };
  const run = {
    recipe: recipe(),
    phase: 'PT',
    runDir,
    device: DEVICE,
    threadBytes,
    onProgress,
  } as const;
  await runRecipePhase({ ...run, signal: stop.signal });
  return runDir;
}

function traceOf(runDir: string) {
  const root = join(runDir, 'PT');
  const { checkpoint } = latestCheckpoint(root);
  const metrics = readFileSync(join(root, 'metrics.jsonl'), 'utf8').trim().split('\n');
  return {
    step: checkpoint?.step,
    files: checkpoint?.manifest.files,
    confusion: JSON.parse(readFileSync(join(root, 'confusion.json'), 'utf8')),
    metrics: metrics.map((line) => {
      const { kind, step, loss } = JSON.parse(line);
      return { kind, step, loss };
    }),
  };
}

test('checkpoints written by a thread equal those written directly, also after a stop', async () => {
  const apart = traceOf(await train('at-once', Number.POSITIVE_INFINITY));
  expect(apart.step).toBe(12);
  expect(apart.confusion).toMatchObject({ step: 12, classes: 2, names: ['bright', 'dark'] });
  expect(traceOf(await train('in-thread', 0))).toEqual(apart);

  await expect(train('stopped', 0, 4)).rejects.toThrow(Interrupted);
  expect(traceOf(join(folder, 'stopped')).step).toBeGreaterThanOrEqual(4);
  expect(traceOf(await train('stopped', 0))).toEqual(apart);
});

// On CUDA, `auto` is bfloat16.
const inFloat32 = test.skipIf(DEVICE.startsWith('cuda'));

const manifestOf = (name: string) => latestCheckpoint(join(folder, name, 'PT')).checkpoint?.manifest;

inFloat32('with precision auto, a phase keeps the precision that it started with', async () => {
  await train('float32', 0);
  expect(manifestOf('float32')?.precision).toBe('float32');
  // As if it had begun on a GPU, where auto is bfloat16.
  await expect(train('moved', 0, 4)).rejects.toThrow(Interrupted);
  editManifest('moved', (text) => text.replace('"precision": "float32"', '"precision": "bfloat16"'));
  await train('moved', 0);
  expect(manifestOf('moved')?.precision).toBe('bfloat16');
  expect(readFileSync(join(folder, 'moved/PT/log.txt'), 'utf8')).toMatch(
    new RegExp(
      `stays in bfloat16, in which it began; a new phase on ${DEVICE} would be in float32[^]*` +
        `resumes from step \\d+: 12 steps on ${DEVICE} in bfloat16`,
    ),
  );
  const losses = ['float32', 'moved'].map((name) =>
    traceOf(join(folder, name)).metrics.map(({ loss }) => loss),
  );
  expect(losses[1].slice(0, 4)).toEqual(losses[0].slice(0, 4));
  expect(losses[1].at(-1)).not.toBe(losses[0].at(-1));
  expect(losses[1].at(-1)).toBeCloseTo(losses[0].at(-1), 1);
});

inFloat32('checkpoints of versions without precision auto are resumed in float32', async () => {
  await expect(train('older', 0, 4)).rejects.toThrow(Interrupted);
  editManifest('older', (text) => text.replace(/ *"precision": "float32",\n/, ''));
  expect(manifestOf('older')?.precision).toBeUndefined();
  expect(traceOf(await train('older', 0))).toEqual(traceOf(join(folder, 'float32')));
});

function editManifest(name: string, edit: (text: string) => string): void {
  const { checkpoint } = latestCheckpoint(join(folder, name, 'PT'));
  const path = join(checkpoint?.folder as string, 'manifest.json');
  writeFileSync(path, edit(readFileSync(path, 'utf8')));
}

test('a manifest that is damaged but still JSON, or of another phase, is named', async () => {
  await expect(train('damaged', 0, 4)).rejects.toThrow(Interrupted);
  const { checkpoint } = latestCheckpoint(join(folder, 'damaged/PT'));
  const path = join(checkpoint?.folder as string, 'manifest.json');
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace('"seconds"', '"secomds"'));
  const resume = () => train('damaged', 0);
  await expect(resume()).rejects.toThrow(InputError);
  await expect(resume()).rejects.toThrow(`${path}: seconds: `);

  writeFileSync(path, text.replace('"phase": "PT"', '"phase": "E2E"'));
  await expect(resume()).rejects.toThrow(`${path} belongs to E2E, not to PT`);
});

test('a missing meta model: the advice depends on whether PT was finished', async () => {
  const runDir = join(folder, 'no-meta');
  prepareRun(recipe(), runDir);
  const incubate = () => runRecipePhase({ recipe: recipe(), phase: 'MT/0', runDir, device: DEVICE });
  await expect(incubate()).rejects.toMatchObject({
    hint: `train it first: npx deep-incubation run ${runDir} --only PT`,
  });
  await expect(
    runRecipePhase({ recipe: recipe(), phase: 'FT', runDir, device: DEVICE }),
  ).rejects.toMatchObject({
    message: `MT/0 has no checkpoint in ${join(runDir, 'MT/0')}`,
    hint: `train it first: npx deep-incubation run ${runDir} --only PT,MT/0`,
  });
  await runRecipePhase({ recipe: recipe(), phase: 'PT', runDir, device: DEVICE });
  rmSync(join(runDir, 'PT/checkpoints'), { recursive: true });
  const checkpoint = join(runDir, 'PT/checkpoints/12');
  await expect(incubate()).rejects.toMatchObject({
    message: `${join(runDir, 'PT')} is done after 12 steps, but its checkpoint of step 12 cannot be used: ${checkpoint}: the folder is missing`,
    hint: `restore it from a copy, or train the phase again: npx deep-incubation redo ${runDir} PT`,
  });
});

test('a module in the folder of another is refused, even with the same shape', async () => {
  const uniform = recipe(4);
  const runDir = join(folder, 'swapped');
  prepareRun(uniform, runDir);
  const run = { recipe: uniform, runDir, device: DEVICE };
  for (const phase of ['PT', 'MT/0', 'MT/2', 'MT/3'] as const) await runRecipePhase({ ...run, phase });
  cpSync(join(runDir, 'MT/0'), join(runDir, 'MT/1'), { recursive: true });
  await expect(runRecipePhase({ ...run, phase: 'FT' })).rejects.toThrow('MT/1 contains a checkpoint of MT/0');
});

test('a phase resumed with other settings or images logs the difference', async () => {
  await expect(train('changed', 0, 4)).rejects.toThrow(Interrupted);
  const runDir = join(folder, 'changed');
  const log = () => readFileSync(join(runDir, 'PT/log.txt'), 'utf8');
  cpSync(runDir, join(folder, 'unchanged'), { recursive: true });
  await train('unchanged', 0);
  expect(readFileSync(join(folder, 'unchanged/PT/log.txt'), 'utf8')).not.toContain('than it began with');

  cpSync(join(folder, 'images'), join(folder, 'fewer'), { recursive: true });
  rmSync(join(folder, 'fewer/train/dark/0.png'));
  const before = recipe();
  const after = {
    ...before,
    data: { ...before.data, path: join(folder, 'fewer') },
    training: { ...before.training, clip_grad: 1 },
  };
  // By hand: `prepareRun` refuses it.
  writeFileSync(join(runDir, 'recipe.json'), JSON.stringify(after));
  await runRecipePhase({ recipe: after, phase: 'PT', runDir, device: DEVICE, acceptDataChange: true });
  expect(log()).toMatch(/other settings than it began with/);
  expect(log()).toMatch(/other images than it began with/);
});

test('phases of another recipe are not resumed, and their results are not returned', async () => {
  const runDir = await train('one-recipe', 0);
  const other = (change: object) =>
    runRecipePhase({ recipe: { ...recipe(), ...change }, phase: 'PT', runDir, device: DEVICE });
  await expect(other({ seed: 5 })).rejects.toThrow(
    /one-recipe.recipe.json was written by another recipe: seed/,
  );
  // How the machine is used may change.
  await expect(other({ run: { ...recipe().run, threads: 1 } })).resolves.toMatchObject({ steps: 12 });
});

test('a missing device is refused before anything is written', async () => {
  const runDir = join(folder, 'no-device');
  const run = { recipe: recipe(), phase: 'PT', runDir } as const;
  await expect(runRecipePhase({ ...run, device: 'gpu' })).rejects.toThrow(
    'run.device gpu: expected auto, cpu',
  );
  expect(existsSync(runDir)).toBe(false);
});

test('the phases of a run, one with a teacher, give the results of the CPU', async () => {
  const teacher = join(await train('teacher', 0), 'PT');
  const distilled = defineRecipe({
    ...recipe(),
    phases: { FT: { distill: { teacher, kind: 'soft' } } },
  });
  const losses = async (device: string) => {
    const runDir = join(folder, `all-${device.replace(':', '')}`);
    prepareRun(distilled, runDir);
    const results = [];
    for (const phase of ['PT', 'MT/0', 'MT/1', 'FT'] as const)
      results.push(await runRecipePhase({ recipe: distilled, phase, runDir, device }));
    return results.map(({ loss }) => loss);
  };
  const expected = await losses('cpu');
  for (const [i, loss] of (await losses(DEVICE)).entries()) expect(loss).toBeCloseTo(expected[i], 5);
});

test('a single module that imitates learns from the stage of start.meta', async () => {
  const meta = join(folder, 'single');
  prepareRun(recipe(1), meta);
  await runRecipePhase({ recipe: recipe(1), phase: 'PT', runDir: meta, device: DEVICE });
  const imitating = defineRecipe({
    ...recipe(1),
    start: { meta: join(meta, 'PT') },
    phases: { MT: { objective: 'imitate', epochs: 1 } },
  });
  const runDir = join(folder, 'imitating');
  prepareRun(imitating, runDir);
  const result = await runRecipePhase({ recipe: imitating, phase: 'MT/0', runDir, device: DEVICE });
  expect(result.steps).toBe(4);
});

test('weights that are adapted to another image size are named in the log', async () => {
  const meta = join(folder, 'smaller');
  prepareRun(recipe(), meta);
  await runRecipePhase({ recipe: recipe(), phase: 'PT', runDir: meta, device: DEVICE });
  const start = join(meta, 'PT');
  const larger = defineRecipe({
    ...recipe(),
    model: { ...recipe().model, image_size: 40 },
    start: { meta: start },
    phases: { MT: { epochs: 1 } },
  });
  const runDir = join(folder, 'larger');
  prepareRun(larger, runDir);
  await runRecipePhase({ recipe: larger, phase: 'MT/0', runDir, device: DEVICE });
  expect(readFileSync(join(runDir, 'MT/0/log.txt'), 'utf8')).toContain(
    `${start}: position embedding of 16 px images, resized for 40 px`,
  );
});
