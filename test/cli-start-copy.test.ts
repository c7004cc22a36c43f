import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  assemble,
  defineRecipe,
  Generator,
  phasesOf,
  type RecipeInput,
  type TensorData,
  writeModelFile,
} from 'deep-incubation';
import { weightsOf } from 'deep-incubation/nn';
import { beforeAll, expect, test } from 'vitest';
import { newestManifest } from '../src/run/checkpoint-store.js';
import { runFolder } from '../src/run/run-folder.js';
import { cli, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';

// The weights that a run starts and learns from are copied into its folder when it is prepared.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const recipe = at('recipe.json');
const [model, teacher] = [at('timm.safetensors'), at('teacher.safetensors')];

/** A model of the tiny recipe, of timm or with a header that states its heads. */
function writeModel(path: string, key: string, to: 'timm' | 'deep-incubation'): void {
  const generator = new Generator().seed([key]);
  const [{ blueprint }] = phasesOf(defineRecipe(tinyRecipe('images') as RecipeInput));
  const built = assemble(blueprint, [4], null, { device: 'cpu', dtype: 'F32', generator });
  const stages: ReadonlyMap<string, TensorData>[] = built.stages.map((stage) => weightsOf(stage));
  writeModelFile(path, stages, { to, metadata: { heads: '2' } });
}

const weights = (run: string, phase: string) => {
  const manifest = newestManifest(runFolder(run).phase(phase).root) as {
    files: Record<string, { sha256: string }>;
  };
  return manifest.files['model.safetensors'].sha256;
};

async function succeed(...args: string[]) {
  const ended = await cli(args);
  expect(ended.code, ended.stderr).toBe(0);
  return ended;
}

const whole = at('whole');

beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 5 });
  const { model: section, training, ...tiny } = tinyRecipe(at('images')) as Record<string, object>;
  const FT = { epochs: 10, checkpoint_every: 0.3, keep_checkpoints: 100, distill: { teacher, alpha: 0.5 } };
  const own = { start: { model }, phases: { FT, E2E: 'none' }, training: { ...training, eval_every: 100 } };
  writeFileSync(recipe, JSON.stringify({ ...tiny, model: section, ...own }));
  writeModel(model, 'start', 'timm');
  writeModel(teacher, 'teacher', 'deep-incubation');
  await succeed('run', recipe, '--out', whole, '--quiet');
});

test('a run holds copies of the weights, which every command can read', async () => {
  const names = readdirSync(join(whole, 'start')).sort();
  expect(names).toEqual(['model', expect.stringMatching(/^teacher-[0-9a-f]{8}$/)]);
  for (const name of names) {
    const { stdout } = await succeed('inspect', join(whole, 'start', name), '--json');
    expect(JSON.parse(stdout)).toMatchObject({ layout: 'deep-incubation' });
  }
});

test('killed, and resumed when the originals are gone: the weights of a run that was not killed', async () => {
  const run = at('killed');
  const { process, ended } = start(['run', recipe, '--out', run]);
  await until(() => existsSync(join(run, 'FT/checkpoints/latest')), 'a checkpoint');
  process.kill('SIGKILL');
  await ended;
  expect(existsSync(runFolder(run).phase('FT').result)).toBe(false);
  for (const path of [model, teacher]) cpSync(path, `${path}.kept`);
  try {
    for (const path of [model, teacher]) rmSync(path);
    await succeed('run', run, '--quiet');
  } finally {
    for (const path of [model, teacher]) cpSync(`${path}.kept`, path, { preserveTimestamps: true });
  }
  expect(weights(run, 'FT')).toBe(weights(whole, 'FT'));
  expect(readdirSync(join(run, 'start')).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('an original that was replaced before training changes nothing, and a note reports it', async () => {
  const run = at('replaced');
  // Killed before its first checkpoint, as soon as the copies exist.
  cpSync(whole, run, { recursive: true });
  rmSync(join(run, 'FT'), { recursive: true });
  const kept = readFileSync(model);
  try {
    writeModel(model, 'other', 'timm');
    const { stderr } = await succeed('run', recipe, '--out', run);
    expect(stderr).toContain(`start.model ${model} was changed after the run copied it`);
  } finally {
    writeFileSync(model, kept);
  }
  expect(weights(run, 'FT')).toBe(weights(whole, 'FT'));
});

test('a run of an earlier version, without copies, reads the files that it recorded', async () => {
  const run = at('earlier');
  cpSync(whole, run, { recursive: true });
  const step = readdirSync(join(run, 'FT/checkpoints'))
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  const [first] = step.sort((a, b) => a - b);
  expect(step.length).toBeGreaterThan(1);
  for (const each of step.filter((each) => each !== first))
    rmSync(join(run, 'FT/checkpoints', String(each)), { recursive: true });
  for (const path of ['start', 'FT/result.json', 'FT/checkpoints/latest', 'FT/checkpoints/best']) {
    rmSync(join(run, path), { recursive: true, force: true });
  }
  await succeed('run', run, '--quiet');
  expect(weights(run, 'FT')).toBe(weights(whole, 'FT'));
  // A started phase continues to read the originals.
  expect(existsSync(join(run, 'start'))).toBe(false);
  rmSync(join(run, 'FT'), { recursive: true });
  await succeed('run', run, '--quiet');
  expect(existsSync(join(run, 'start/model/manifest.json'))).toBe(true);
  expect(weights(run, 'FT')).toBe(weights(whole, 'FT'));
});

test('a missing original and no copy, and a damaged copy, are refused', async () => {
  const run = at('damaged');
  cpSync(whole, run, { recursive: true });
  rmSync(join(run, 'FT'), { recursive: true });
  const file = join(run, 'start/model/model.safetensors');
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(file, bytes);
  const damaged = await cli(['run', run, '--quiet']);
  expect(damaged).toMatchObject({ code: 2, stdout: '' });
  expect(damaged.stderr).toContain(
    `the run's copy of start.model ${model} is damaged: the hash of model.safetensors`,
  );
  rmSync(join(run, 'start'), { recursive: true });
  cpSync(model, `${model}.kept`);
  rmSync(model);
  const missing = await cli(['run', run, '--quiet']);
  cpSync(`${model}.kept`, model);
  expect(missing.code).toBe(2);
  expect(missing.stderr).toContain(`${model} does not exist`);
});

test('a checkpoint of a run is linked', async () => {
  const run = at('linked');
  const link = ['--set', `start.model=${join(whole, 'FT')}`, '--set', 'phases.FT.epochs=1'];
  await succeed('run', recipe, '--out', run, ...link, '--quiet');
  const step = readFileSync(join(whole, 'FT/checkpoints/latest'), 'utf8').trim();
  const [original, copy] = [join(whole, 'FT/checkpoints', step), join(run, 'start/model')].map(
    (path) => statSync(join(path, 'model.safetensors')).ino,
  );
  expect(copy).toBe(original);
});
