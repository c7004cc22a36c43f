import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { testFolder } from '../../../test/fixtures/data-fixture.js';
import { FUZZ_RUNS, FUZZ_TIMEOUT, mutate } from '../../../test/fixtures/mutate.js';
import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import { writeJsonAtomic } from '../../files/atomic.js';
import { replaceFile, withFile, writeAll } from '../../files/file-bytes.js';
import { tarEntries, windowReader, writeTar } from '../../files/tar.js';
import { weightsOf } from '../../nn/weights.js';
import { metaHash, phaseModel, phaseStart } from '../../phase/phase-model.js';
import { phaseOf } from '../../recipe/compile.js';
import type { PhaseName } from '../../recipe/phase.js';
import { defineRecipe } from '../../recipe/recipe.js';
import { saveCheckpoint } from '../../run/checkpoint-store.js';
import type { PhaseResult } from '../../run/records.js';
import { runFolder, writeResult } from '../../run/run-folder.js';
import { recipeOfRun } from '../run-recipe.js';
import { givenWeights } from '../start/given-weights.js';
import { bundleSchema, fileOf } from './bundle.js';
import { packModule, packWork } from './bundle-pack.js';
import { readBundle, unpackModule, unpackWork } from './bundle-unpack.js';

const folder = testFolder();
const at = (name: string) => join(folder.path, name);

const recipe = defineRecipe({
  name: 'small',
  model: { image_size: 8, patch_size: 4, classes: 2, width: 8, depth: 4, heads: 2 },
  incubation: { modules: 2 },
  data: { format: 'folder', path: '/home/owner/images' },
  phases: { modules: { 1: { data: { path: '/home/owner/others' } } } },
  run: { threads: 3 },
});

/** A run whose phases have the files that training starts with. */
async function makeRun(
  runDir: string,
  names: readonly PhaseName[],
  options: { seed?: number; lineage?: false } = {},
) {
  const own = { ...recipe, seed: options.seed ?? 0 };
  writeJsonAtomic(runFolder(runDir).recipe, own);
  for (const name of names) {
    const phase = phaseOf(own, name);
    const { stages, parent } = await phaseStart(phase, {
      runDir,
      given: givenWeights,
      checkpoint: undefined,
    });
    const model = weightsOf(phaseModel(phase, stages, 'cpu'));
    const { root } = runFolder(runDir).phase(name);
    mkdirSync(root, { recursive: true });
    const lineage = { parent, recipe: '0'.repeat(64), data: '0'.repeat(64) };
    const manifest = {
      phase: name,
      depths: phase.depths,
      model: own.model,
      lineage: options.lineage ?? lineage,
    };
    saveCheckpoint(root, 3, { model, optimizer: model, manifest });
    writeResult(runDir, RESULT(name));
  }
}

const RESULT = (phase: string): PhaseResult => ({
  phase,
  steps: 3,
  images: 0,
  block_passes: 0,
  macs: 0,
  seconds: 0,
  top1: 0,
  top5: 0,
  loss: 0,
  parameters: 0,
  trained_parameters: 0,
  memory_bytes: 0,
});

type Files = [name: string, bytes: Buffer][];

function filesOf(path: string): Files {
  return withFile(path, (file) => {
    const read = windowReader(file);
    return [...tarEntries(file, read)].map(({ name, start, size }) => [name, Buffer.from(read(start, size))]);
  });
}

function tarOf(name: string, files: Files): string {
  const entries = files.map(([name, bytes]) => ({
    name,
    size: bytes.length,
    write: (descriptor: number) => writeAll(descriptor, bytes),
  }));
  replaceFile(at(name), (descriptor) => writeTar(descriptor, entries));
  return at(name);
}

/** A `bundle.json` that matches the files, so only the other checks can find an error. */
function named(files: Files, change: object = {}): Files {
  const [[first, content], ...rest] = files;
  const named = { ...JSON.parse(content.toString()), ...change };
  const all = Object.fromEntries(rest.map(([name, bytes]) => [name, fileOf(bytes)]));
  return [[first, Buffer.from(JSON.stringify({ ...named, files: all }))], ...rest];
}

const listed = () => readdirSync(folder.path, { recursive: true }).map(String).sort();
const quiet = { note: () => {} };

let work: string;
let module: string;
beforeEach(async () => {
  [work, module] = [at('work.tar'), at('module.tar')];
  await makeRun(at('home'), ['PT']);
  await packWork(at('home'), 'MT/1', work);
  await makeRun(at('there'), ['PT', 'MT/1']);
  packModule(at('there'), 'MT/1', module);
});

test('work contains the recipe and the meta model, but no optimiser and no path of this machine', async () => {
  const { content, recipe: packed } = readBundle(work);
  expect(content).toMatchObject({
    kind: 'work',
    phase: 'MT/1',
    parent: await metaHash(phaseOf(recipe, 'MT/1'), { runDir: at('home'), given: givenWeights }),
  });
  expect(Object.keys(content.files).sort()).toEqual([
    ...['latest', 'best', '3/manifest.json', '3/model.safetensors', '3/optimizer.safetensors']
      .map((name) => `PT/checkpoints/${name}`)
      .concat('PT/result.json', 'recipe.json')
      .sort(),
  ]);
  expect(content.files['PT/checkpoints/3/optimizer.safetensors'].bytes).toBe(16);
  expect(packed).toMatchObject({ name: 'small', run: { threads: 'auto' }, data: { format: 'folder' } });
  expect(readFileSync(work).includes('/home/owner')).toBe(false);
  await unpackWork(work, at('stranger'));
  expect(await metaHash(phaseOf(recipe, 'MT/1'), { runDir: at('stranger'), given: givenWeights })).toBe(
    content.parent,
  );
});

test('machine settings in packed work, such as shell lines, are not used', async () => {
  const machines = {
    run: { slurm: { setup: 'touch /tmp/evil', args: ['--wrap=evil'] }, kubernetes: { image: 'evil' } },
    phases: { modules: { 1: { data: { path: '/home/owner/others', fraction: 0.5 } } } },
    data: { format: 'folder', path: '/home/owner/images' },
    versions: { evil: '1' },
  };
  const files = filesOf(work).map(([name, bytes]): Files[number] => [
    name,
    name === 'recipe.json'
      ? Buffer.from(JSON.stringify({ ...JSON.parse(bytes.toString()), ...machines }))
      : bytes,
  ]);
  const hostile = tarOf('hostile.tar', named(files));
  expect(readBundle(hostile).recipe?.run.slurm.setup).toBe('');
  await unpackWork(hostile, at('stranger'));
  const text = readFileSync(at('stranger/recipe.json'), 'utf8');
  expect(text).not.toMatch(/evil|owner/);
  expect(recipeOfRun(at('stranger')).phases.modules?.[1].data).toEqual({ fraction: 0.5 });
});

test('a module is added, and the previous one is kept', async () => {
  await unpackModule(module, at('home'), quiet);
  expect(existsSync(at('home/MT/1/checkpoints/3/model.safetensors'))).toBe(true);
  await expect(unpackModule(module, at('home'), quiet)).rejects.toThrow('already has MT/1');
  const { previous } = await unpackModule(module, at('home'), { ...quiet, replace: true });
  expect(previous).toBe(at('home/previous/1'));
  expect(existsSync(at('home/previous/1/MT/1/result.json'))).toBe(true);
});

test('a module of another meta model is refused; with --force it is accepted with a warning', async () => {
  await makeRun(at('other'), ['PT', 'MT/1'], { seed: 1 });
  packModule(at('other'), 'MT/1', at('other.tar'));
  await expect(unpackModule(at('other.tar'), at('home'), quiet)).rejects.toThrow(
    /^MT\/1 was incubated against the meta model [0-9a-f]{12}, but that of .*home is [0-9a-f]{12}$/,
  );
  // Without a lineage, or with a wrong one, the frozen stages are compared.
  await makeRun(at('old'), ['PT', 'MT/1'], { seed: 1, lineage: false });
  packModule(at('old'), 'MT/1', at('old.tar'));
  await expect(unpackModule(at('old.tar'), at('home'), quiet)).rejects.toThrow('has other frozen stages');
  expect(existsSync(at('home/MT'))).toBe(false);
  const notes: string[] = [];
  await unpackModule(at('old.tar'), at('home'), { force: true, note: (line) => notes.push(line) });
  expect(notes).toEqual([
    expect.stringContaining('unknown: the training images of MT/1;'),
    expect.stringContaining('may start near chance'),
  ]);
});

test('a module of another geometry is refused, forced or not', async () => {
  writeJsonAtomic(runFolder(at('home')).recipe, { ...recipe, model: { ...recipe.model, heads: 4 } });
  const options = { ...quiet, force: true };
  await expect(unpackModule(module, at('home'), options)).rejects.toThrow('heads 2, but the recipe');
  writeJsonAtomic(runFolder(at('home')).recipe, {
    ...recipe,
    model: { ...recipe.model, depth: 5 },
    incubation: { depths: [2, 3] },
  });
  await expect(unpackModule(module, at('home'), options)).rejects.toThrow('stages of 1,2 blocks');
});

test('an unfinished module, or another phase, is not packed', async () => {
  expect(() => packModule(at('home'), 'MT/0', at('x'))).toThrow('MT/0 is not done');
  expect(() => packModule(at('home'), 'PT', at('x'))).toThrow('PT is not a module');
  await expect(packWork(at('home'), 'MT/7' as PhaseName, at('x'))).rejects.toThrow('no phase MT/7');
  await expect(packWork(at('home'), 'MT/1', work)).rejects.toThrow('already exists');
});

test('work is not unpacked into a file, nor below one', async () => {
  folder.write('file', Buffer.from(''));
  await expect(unpackWork(work, at('file'))).rejects.toThrow(InputError);
  await expect(unpackWork(work, at('file'))).rejects.toThrow('file is not a folder');
  await expect(unpackWork(work, at('file/run'))).rejects.toThrow(`Cannot write ${at('file')}`);
});

describe('a hostile bundle leaves nothing behind', () => {
  const evil = Buffer.from('evil');
  const withFileNamed = (name: string) => (files: Files) => named([...files, [name, evil]]);
  const without = (part: string) => (files: Files) => files.filter(([name]) => !name.includes(part));
  const changed = (part: string, content: string) => (files: Files) =>
    files.map(([name, bytes]): Files[number] => [name, name.includes(part) ? Buffer.from(content) : bytes]);
  const phaseIn = (files: Files) =>
    files.flatMap(([name]) => /^(.*)\/result\.json$/.exec(name)?.[1] ?? [])[0];
  const cases: Record<string, (files: Files) => Files> = {
    'a name outside the folder': withFileNamed('../evil'),
    'a deeper name outside the folder': withFileNamed('MT/1/../../../evil'),
    'an absolute name': withFileNamed('/tmp/deep-incubation-evil'),
    'a file that does not belong to a run': withFileNamed('MT/1/evil.sh'),
    'a file that bundle.json does not name': (files) => [...files, ['PT/metrics.jsonl', evil]],
    'a file twice': (files) => [...files, files[1]],
    'a missing file': without('model.safetensors'),
    'a changed file': changed('result.json', '{}'),
    'no bundle.json': without('bundle.json'),
    'an invalid bundle.json': changed('bundle.json', '[]'),
    'a prototype as a file': (files) => [...files, ['__proto__', evil]],
    'weights that do not fit their manifest': (files) => named(changed('model.safetensors', 'x')(files)),
    'no checkpoint': (files) => named(without('checkpoints/')(files)),
    'no model in its manifest': (files) => named(changed('manifest.json', '{"format":1,"step":3}')(files)),
    'invalid metrics': (files) =>
      named([
        ...files,
        [`${phaseIn(files)}/metrics.jsonl`, Buffer.from('{"kind":"step","step":1,"loss":"<b>"}\n{}\n')],
      ]),
    'a result of another phase': (files) =>
      named(changed('result.json', JSON.stringify(RESULT('<b>')))(files)),
    'another kind': (files) => named(files, { kind: 'other' }),
    'a phase that is a path': (files) => named(files, { phase: 'MT/../../x' }),
  };

  test.each(Object.entries(cases))('%s', async (_, change) => {
    for (const original of [work, module]) {
      const bad = tarOf('bad.tar', change(filesOf(original)));
      const before = listed();
      const unpacking = original === work ? unpackWork(bad, at('new')) : unpackModule(bad, at('home'), quiet);
      await expect(unpacking).rejects.toThrow(InputError);
      expect(listed()).toEqual(before);
    }
  });

  test('a link', async () => {
    const bytes = readFileSync(module);
    bytes[156] = '2'.charCodeAt(0);
    bytes.write(' '.repeat(8), 148);
    const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const bad = folder.write('bad.tar', bytes);
    await expect(unpackModule(bad, at('home'), quiet)).rejects.toThrow('is a link');
  });

  test('a bundle that is truncated or changed anywhere', { timeout: FUZZ_TIMEOUT }, async () => {
    const bytes = readFileSync(module);
    const stream = randomStream(['bundle']);
    const before = [...listed(), 'bad.tar'].sort();
    let refused = 0;
    for (let i = 0; i < FUZZ_RUNS / 10; i++) {
      const bad = folder.write(
        'bad.tar',
        i % 4 === 0 ? bytes.subarray(0, stream.integer(0, bytes.length - 1025)) : mutate(bytes, stream),
      );
      try {
        await unpackModule(bad, at('home'), { ...quiet, replace: true });
        // Only padding, times and owners were changed.
        const { files } = bundleSchema.parse(readBundle(module).content);
        for (const [name, file] of Object.entries(files)) {
          expect(fileOf(readFileSync(join(at('home'), name)))).toEqual(file);
        }
        for (const made of ['MT', 'previous'])
          rmSync(join(at('home'), made), { recursive: true, force: true });
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
        expect(listed()).toEqual(before);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(FUZZ_RUNS / 20);
  });
});
