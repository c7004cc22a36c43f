import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeImages } from '../../test/cli-support.js';
import { Interrupted } from '../base/errors.js';
import { runRecipePhase } from '../library/run-recipe.js';
import type { PhaseName } from '../recipe/phase.js';
import { latestCheckpoint } from '../run/checkpoint-store.js';
import { readMetrics } from '../run/metrics-log.js';
import { prepareRun } from './prepare.js';
import { recipeOfRun } from './run-recipe.js';

const folder = mkdtempSync(join(tmpdir(), 'more-epochs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base = {
  name: 'tiny',
  model: { image_size: 16, patch_size: 8, classes: 2, width: 16, depth: 4, heads: 2 },
  incubation: { modules: 2 },
  data: { format: 'folder', path: join(folder, 'images') },
  training: {
    epochs: 2,
    batch_size: 8,
    log_every: 1,
    optimizer: { lr: 0.001, lr_batch: null },
    schedule: { kind: 'step-cosine', warmup: 1 },
  },
  run: { device: 'cpu' },
} as const;

/** A run whose PT is done, 8 steps, and whose MT/0 is not begun; it is copied by each test. */
const done = join(folder, 'done');
/** A run whose PT was interrupted in the middle of its 8 steps. */
const halfway = join(folder, 'halfway');

beforeAll(async () => {
  await writeImages(join(folder, 'images'), { train: 16, val: 4 });
  const { defineRecipe } = await import('../recipe/recipe.js');
  for (const runDir of [done, halfway]) prepareRun(defineRecipe(base), runDir);
  await train(done, 'PT');
  await expect(train(halfway, 'PT', 4)).rejects.toThrow(Interrupted);
}, 60_000);

async function train(runDir: string, phase: PhaseName, stopAt?: number) {
  const stop = new AbortController();
  let steps = 0;
  const onProgress = (doing: string) => {
    if (doing === 'training' && ++steps === stopAt) stop.abort();
  };
  return runRecipePhase({
    recipe: recipeOfRun(runDir),
    phase,
    runDir,
    device: 'cpu',
    signal: stop.signal,
    onProgress,
  });
}

function copyOf(runDir: string, name: string): string {
  cpSync(runDir, join(folder, name), { recursive: true });
  return join(folder, name);
}

function changed(runDir: string, ...settings: string[]): string[] {
  const notes: string[] = [];
  prepareRun(recipeOfRun(runDir, settings), runDir, { note: (line) => notes.push(line) });
  return notes;
}

const weightsOf = (runDir: string, phase = 'PT') =>
  latestCheckpoint(join(runDir, phase)).checkpoint?.manifest.files;
const ratesOf = (runDir: string) =>
  readMetrics(join(runDir, 'PT/metrics.jsonl')).flatMap((record) =>
    record.kind === 'step' ? [record.lr] : [],
  );

test('more epochs for a finished phase: the schedule is reported, and an interruption changes nothing', async () => {
  const [straight, stopped] = ['straight', 'stopped'].map((name) => copyOf(done, name));
  for (const runDir of [straight, stopped]) {
    expect(changed(runDir, 'phases.PT.epochs=5')).toEqual([
      expect.stringMatching(
        /^PT: 5 epochs instead of 2, 20 steps instead of 8; from step 9 on its learning rate follows the new schedule: 0\.000\d+, after ending at 0\.000\d+$/,
      ),
    ]);
    expect(existsSync(join(runDir, 'PT/result.json'))).toBe(false);
    expect(JSON.parse(readFileSync(join(runDir, 'previous/1/PT/result.json'), 'utf8'))).toMatchObject({
      steps: 8,
    });
    expect(recipeOfRun(join(runDir, 'previous/1')).phases.PT.epochs).toBeUndefined();
  }
  expect(await train(straight, 'PT')).toMatchObject({ steps: 20 });
  await expect(train(stopped, 'PT', 4)).rejects.toThrow(Interrupted);
  expect(changed(stopped)).toEqual([]);
  await train(stopped, 'PT');
  expect(weightsOf(stopped)).toEqual(weightsOf(straight));
  expect(ratesOf(stopped)).toEqual(ratesOf(straight));
  expect(ratesOf(straight)).toHaveLength(20);
}, 60_000);

test.each([
  ['more', '4', 16],
  ['fewer', '1.75', 7],
])(
  '%s epochs of an unfinished phase: applied from its current step on',
  async (name, epochs, steps) => {
    const begun = ratesOf(halfway).length;
    const [straight, stopped] = ['straight', 'stopped'].map((each) => copyOf(halfway, `${each}-${name}`));
    for (const runDir of [straight, stopped]) {
      const [note] = changed(runDir, `training.epochs=${epochs}`);
      expect(note).toContain(
        `PT: ${epochs} epochs instead of 2, ${steps} steps instead of 8; from step ${begun + 1} on`,
      );
      expect(note).toContain('instead of');
    }
    await train(straight, 'PT');
    if (steps > 8) await expect(train(stopped, 'PT', 3)).rejects.toThrow(Interrupted);
    await train(stopped, 'PT');
    expect(weightsOf(stopped)).toEqual(weightsOf(straight));
    expect(ratesOf(straight)).toHaveLength(steps);
    expect(ratesOf(straight).slice(0, begun)).toEqual(ratesOf(halfway));
  },
  60_000,
);

test('a phase that others started from is not continued, nor shortened', async () => {
  const runDir = copyOf(done, 'started-from');
  expect(() => changed(runDir, 'phases.PT.epochs=1')).toThrow(
    'PT has been trained for 8 steps, but 1 epochs are only 4',
  );
  await train(runDir, 'MT/0');
  expect(() => changed(runDir, 'phases.PT.epochs=5')).toThrow('PT cannot be continued: MT/0 started from it');
  try {
    changed(runDir, 'phases.PT.epochs=5');
  } catch (error) {
    expect(Object(error).hint).toContain(`npx deep-incubation redo ${runDir} PT --set phases.PT.epochs=5`);
  }
  expect(recipeOfRun(runDir).phases.PT.epochs).toBeUndefined();
  expect(existsSync(join(runDir, 'PT/result.json'))).toBe(true);
  // No phase has started from the module yet.
  expect(changed(runDir, 'phases.MT.epochs=3')[0]).toContain('MT/0: 3 epochs instead of 2');
}, 60_000);

test.each([
  [['training.optimizer.lr=0.002'], 'training.optimizer.lr 0.002 instead of 0.001 (PT)'],
  [['seed=1'], 'seed 1 instead of 0 (PT)'],
  [
    ['data.augment.flip=0', 'phases.PT.optimizer.betas=[0.8, 0.9]'],
    'data.augment.flip 0 instead of 0.5 (PT); phases.PT.optimizer.betas [0.8,0.9] instead of unset (PT)',
  ],
  [['phases.PT.label_smoothing=0'], 'phases.PT.label_smoothing 0 instead of unset (PT)'],
  [['model.width=32'], 'model.width 32 instead of 16 (PT)'],
])('a recipe with %s is refused by key, new and old value', (settings, message) => {
  expect(() => changed(done, ...settings)).toThrow(
    `${join(done, 'recipe.json')} was written by another recipe: ${message}`,
  );
});

test('settings that do not affect a result may change at any time', async () => {
  const plain = copyOf(halfway, 'plain');
  const free = copyOf(halfway, 'free');
  const settings = [
    'name=other',
    'training.checkpoint_every=0.001',
    'training.log_every=3',
    'training.keep_checkpoints=1',
    'phases.PT.log_every=2',
    'data.bad_images=replace',
    'training.activation_checkpointing=true',
    'phases.PT.optimizer.sharded=true',
    'run.workers=1',
    'run.samples=0',
    'run.tensorboard=false',
  ];
  expect(changed(free, ...settings)).toEqual([]);
  await train(plain, 'PT');
  await train(free, 'PT');
  expect(weightsOf(free)).toEqual(weightsOf(plain));
  expect(readFileSync(join(free, 'PT/log.txt'), 'utf8')).not.toContain('than it began with');
  expect(recipeOfRun(free)).toMatchObject({ name: 'other', run: { workers: 1, samples: 0 } });
}, 60_000);

test('settings of phases that have not started may change', () => {
  const runDir = copyOf(done, 'later');
  expect(
    changed(runDir, 'phases.FT.optimizer.lr=0.1', 'phases.MT.drop_path=0', 'phases.E2E.epochs=3'),
  ).toEqual([]);
  expect(recipeOfRun(runDir).phases.FT.optimizer?.lr).toBe(0.1);
});
