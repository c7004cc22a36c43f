import { cpSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, jsonLines, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';

// Other phases use only the weights of the last step of a finished phase, which its result.json names.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const recipe = at('recipe.json');
/** A run without damage. */
const whole = at('whole');
const LAST = { PT: 16, 'MT/0': 8, 'MT/1': 8, FT: 8 } as const;
type Phase = keyof typeof LAST;

beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 5 });
  const tiny = tinyRecipe(at('images')) as { training: object };
  const training = { ...tiny.training, eval_every: 1, keep_checkpoints: 3 };
  writeFileSync(recipe, JSON.stringify({ ...tiny, training, phases: { PT: { epochs: 4 } } }));
  expect(await cli(['run', recipe, '--out', whole, '--quiet'])).toMatchObject({ code: 0 });
}, 120_000);

/** A copy of the run without some of its phases. */
function copy(name: string, ...without: string[]): string {
  const run = at(name);
  cpSync(whole, run, { recursive: true });
  for (const part of [...without, 'summary.json', 'report']) rmSync(join(run, part), { recursive: true });
  return run;
}

const checkpoint = (run: string, phase: Phase) => join(run, phase, 'checkpoints', String(LAST[phase]));
const modelOf = (run: string, phase: Phase) =>
  readFileSync(join(checkpoint(run, phase), 'model.safetensors'));

function flipBit(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length - 5] ^= 0x10;
  writeFileSync(path, bytes);
}

/** Kinds of damage to a phase's last checkpoint, and the reported reasons. */
const DAMAGE: Record<string, [damage: (folder: string) => void, reason: string]> = {
  'a flipped bit': [
    (folder) => flipBit(join(folder, 'model.safetensors')),
    'the hash of model.safetensors differs from manifest.json',
  ],
  'a truncated file': [
    (folder) => truncateSync(join(folder, 'model.safetensors'), 1000),
    'model.safetensors has 1000 bytes instead of',
  ],
  'no manifest': [(folder) => rmSync(join(folder, 'manifest.json')), 'manifest.json is missing'],
  'an invalid manifest': [
    (folder) => writeFileSync(join(folder, 'manifest.json'), 'null'),
    'manifest.json has format undefined',
  ],
  'no folder': [(folder) => rmSync(folder, { recursive: true }), 'the folder is missing'],
};

describe.each(Object.entries(DAMAGE))('%s', (name, [damage, reason]) => {
  const lost = (run: string, phase: Phase) =>
    `${join(run, phase)} is done after ${LAST[phase]} steps, but its checkpoint of step ${LAST[phase]} cannot be used: ${checkpoint(run, phase)}: ${reason}`;

  test('of PT before MT: the missing steps are repeated, and the result is the same', async () => {
    const run = copy(`PT ${name}`, 'MT', 'FT');
    damage(checkpoint(run, 'PT'));
    // The whole method only once.
    const phases = (name === 'a flipped bit' ? Object.keys(LAST) : ['PT', 'MT/0']) as Phase[];
    const { code, stderr } = await cli(['run', run, '--only', phases.join()]);
    expect(stderr).toContain(lost(run, 'PT'));
    expect(stderr).toContain('The steps after 12 are repeated.');
    expect(code).toBe(0);
    for (const phase of phases) {
      expect(modelOf(run, phase).equals(modelOf(whole, phase)), phase).toBe(true);
    }
    expect(jsonLines(join(run, 'PT/metrics.jsonl')).at(-1)).toMatchObject({ step: 16 });
    const summary = JSON.parse(readFileSync(join(run, 'summary.json'), 'utf8'));
    expect(summary.phases[0]).toMatchObject({ phase: 'PT', steps: 16 });
  }, 180_000);

  test('commands that read weights refuse, and say what to do', async () => {
    const run = copy(`read ${name}`);
    for (const phase of ['PT', 'MT/1', 'FT'] as const) damage(checkpoint(run, phase));
    // All commands are tried with one kind of damage, one command with the others.
    const most = name === 'a flipped bit' ? Number.POSITIVE_INFINITY : 1;
    const [out, images] = [at(`${name}.out`), at('images')];
    const commands: [phase: Phase, ...args: string[]][] = [
      ['FT', 'eval', join(run, 'FT'), '--data', images],
      ['FT', 'eval', `${join(run, 'FT')}/`, '--data', images],
      ['FT', 'convert', join(run, 'FT'), `${out}.safetensors`, '--to', 'timm'],
      ['FT', 'export', join(run, 'FT'), `${out}.onnx`],
      ['PT', 'inspect', join(run, 'PT')],
      ['PT', 'pack', run, out, '--for', 'MT/0'],
      ['MT/1', 'pack', join(run, 'MT/1'), out],
      ['FT', 'run', recipe, '--out', out, '--set', `start.model=${join(run, 'FT')}`],
      ['MT/1', 'redo', run, 'FT'],
      ['MT/1', 'phase', run, 'FT'],
    ];
    for (const [phase, ...args] of commands.slice(0, most)) {
      // `phase` trains only unfinished phases.
      if (args[0] === 'phase') rmSync(join(run, 'FT'), { recursive: true });
      const { code, stderr } = await cli(args);
      expect(stderr, args.join(' ')).toContain(`error: ${lost(run, phase)}`);
      expect(stderr).toContain(`deep-incubation run '${run}' --only ${phase}`);
      expect(code).toBe(2);
    }
    expect(existsSync(join(run, 'previous'))).toBe(false);
    expect(readdirSync(folder).filter((file) => file.startsWith(`${name}.out`))).toEqual([]);
  }, 180_000);
});

test('weights of a module before FT', async () => {
  const run = copy('module', 'FT');
  flipBit(join(checkpoint(run, 'MT/0'), 'model.safetensors'));
  const { code, stderr } = await cli(['run', run]);
  expect(stderr).toContain('The steps after 4 are repeated.');
  expect(code).toBe(0);
  expect(modelOf(run, 'FT').equals(modelOf(whole, 'FT'))).toBe(true);
}, 180_000);

test('without an earlier checkpoint, or if it must not be trained: refused, and nothing is lost', async () => {
  const run = copy('alone', 'MT', 'FT');
  flipBit(join(checkpoint(run, 'PT'), 'model.safetensors'));
  const only = await cli(['run', run, '--only', 'MT/0']);
  expect(only).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`deep-incubation run ${run} --only PT;`),
  });
  for (const step of [4, 8, 12])
    rmSync(join(run, 'PT/checkpoints', String(step)), { recursive: true, force: true });
  const { code, stderr } = await cli(['run', run]);
  expect(stderr).toContain(`train the phase again: npx deep-incubation redo ${run} PT`);
  expect(code).toBe(2);
  expect(existsSync(join(run, 'PT/result.json'))).toBe(true);
  expect(existsSync(join(run, 'MT'))).toBe(false);
}, 180_000);

test('the pointer latest is not decisive', async () => {
  const run = copy('pointer', 'MT', 'FT');
  writeFileSync(join(run, 'PT/checkpoints/latest'), '12\n');
  expect(await cli(['run', run])).toMatchObject({ code: 0 });
  expect(modelOf(run, 'FT').equals(modelOf(whole, 'FT'))).toBe(true);
}, 180_000);

test('a damaged optimiser state of a finished phase is harmless', async () => {
  const run = copy('optimiser', 'MT', 'FT');
  rmSync(join(checkpoint(run, 'PT'), 'optimizer.safetensors'));
  const { code, stderr } = await cli(['run', run]);
  expect(stderr).not.toContain('cannot be used');
  expect(code).toBe(0);
  expect(modelOf(run, 'FT').equals(modelOf(whole, 'FT'))).toBe(true);
}, 180_000);

test('a named checkpoint is compared with its manifest', async () => {
  const run = copy('named');
  flipBit(join(checkpoint(run, 'FT'), 'model.safetensors'));
  const { code, stderr } = await cli(['eval', checkpoint(run, 'FT'), '--data', at('images')]);
  expect(stderr).toBe(
    `error: ${checkpoint(run, 'FT')}: the checkpoint is damaged: the hash of model.safetensors differs from manifest.json\n` +
      '  hint: use another checkpoint of the run, or restore this one from a copy\n',
  );
  expect(code).toBe(2);
});

test('modules that are trained together have the same frozen stages, or are refused', async () => {
  const run = at('together');
  const tiny = JSON.parse(readFileSync(recipe, 'utf8'));
  const together = at('together.json');
  const stages = { model: { ...tiny.model, depth: 6 }, incubation: { modules: 3, together: true } };
  writeFileSync(together, JSON.stringify({ ...tiny, ...stages }));
  expect(await cli(['run', together, '--out', run, '--only', 'PT,MT/1'])).toMatchObject({ code: 0 });
  // Unfinished; would resume from its own checkpoint.
  rmSync(join(run, 'MT/1/result.json'));
  rmSync(join(run, 'MT/1/checkpoints/8'), { recursive: true });
  rmSync(join(run, 'PT'), { recursive: true });
  const other = ['--set', 'seed=1'];
  const strange = at('strange');
  expect(await cli(['run', together, '--out', strange, '--only', 'PT', ...other])).toMatchObject({ code: 0 });
  cpSync(join(strange, 'PT'), join(run, 'PT'), { recursive: true });
  const { code, stderr } = await cli(['run', run, '--only', 'MT/1,MT/2']);
  expect(stderr).toMatch(
    /error: MT\/[12] has another frozen stage 0 than the modules trained together with it/,
  );
  expect(code).toBe(2);
}, 180_000);
