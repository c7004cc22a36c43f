import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { cli, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';

// Commands in errors and notes can be run as printed.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const recipe = at('recipe.json');
/** Copied by each test, to a name with characters that a shell would split. */
const whole = at('whole');

beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 5 });
  const { training, ...tiny } = tinyRecipe(at('images')) as { training: object };
  writeFileSync(
    recipe,
    JSON.stringify({ ...tiny, training: { ...training, epochs: 1 }, phases: { PT: { epochs: 2 } } }),
  );
  await runs('run', recipe, '--out', whole, '--quiet');
});

async function runs(...args: string[]) {
  const ended = await cli(args);
  expect(ended.code, ended.stderr).toBe(0);
  return ended;
}

function copy(name: string, ...without: string[]): string {
  const run = at(`a ${name}`);
  cpSync(whole, run, { recursive: true });
  for (const part of without) rmSync(join(run, part), { recursive: true });
  return run;
}

/** The command with this beginning, split as by a shell. */
function printed(text: string, start: string): string[] {
  const found = text.match(
    new RegExp(`npx deep-incubation (${start}(?: (?:'[^']*'|[^\\s';|\`]*[^\\s';|\`,]))*)`),
  );
  expect(found, text).not.toBeNull();
  const words = execFileSync('sh', ['-c', `printf '%s\\0' ${found?.[1]}`]).toString();
  return words.split('\0').slice(0, -1);
}

async function refused(...args: string[]): Promise<string> {
  const { code, stderr } = await cli(args);
  expect(code, stderr).toBe(2);
  return stderr;
}

test('a phase with the checkpoint of another', async () => {
  const run = copy('mixed run', 'FT', 'MT/1');
  cpSync(join(run, 'MT/0'), join(run, 'MT/1'), { recursive: true });
  const result = JSON.parse(readFileSync(join(run, 'MT/1/result.json'), 'utf8'));
  writeFileSync(join(run, 'MT/1/result.json'), JSON.stringify({ ...result, phase: 'MT/1' }));
  const stderr = await refused('run', run);
  expect(stderr).toContain('MT/1 contains a checkpoint of MT/0');
  expect(printed(stderr, 'redo')).toEqual(['redo', run, 'MT/1']);
  await runs(...printed(stderr, 'redo'), '--quiet');
});

test('a module with another depth than the recipe', async () => {
  const run = copy('deeper run', 'FT');
  const path = join(run, 'recipe.json');
  const { incubation, model, ...rest } = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(
    path,
    JSON.stringify({ ...rest, model: { ...model, depth: 5 }, incubation: { depths: [2, 3] } }),
  );
  const stderr = await refused('run', run);
  expect(stderr).toContain('MT/1 has stages of 1,2 blocks, but the recipe says 1,3');
  await runs(...printed(stderr, 'redo'), '--quiet');
});

test('fewer epochs than a phase was trained', async () => {
  const run = copy('shorter run', 'MT', 'FT');
  const stderr = await refused('run', run, '--set', 'phases.PT.epochs=1');
  expect(stderr).toContain('PT has been trained for 8 steps');
  expect(printed(stderr, 'redo')).toEqual(['redo', run, 'PT', '--set', 'phases.PT.epochs=1']);
  await runs(...printed(stderr, 'redo'), '--quiet');
  expect(JSON.parse(readFileSync(join(run, 'PT/result.json'), 'utf8')).steps).toBe(4);
});

test('epochs that a recipe omits', async () => {
  const run = copy('default run', 'FT');
  const { phases, ...rest } = JSON.parse(readFileSync(recipe, 'utf8'));
  writeFileSync(at('default.json'), JSON.stringify({ ...rest, training: { ...rest.training, epochs: 3 } }));
  const stderr = await refused('run', at('default.json'), '--out', run);
  expect(stderr).toContain('PT cannot be continued: MT/0, MT/1 started from it');
  expect(printed(stderr, 'redo')).toContain('phases.PT.epochs=3');
  expect(printed(stderr, 'redo').join(' ')).not.toContain('null');
});

test('a setting that changes other phases, and missing phases', async () => {
  const run = copy('changed run', 'FT');
  const other = await refused(
    'redo',
    run,
    'FT',
    '--set',
    'phases.MT.epochs=2',
    '--set',
    'phases.FT.epochs=2',
  );
  expect(other).toContain('these settings would also change MT/0, MT/1, not only FT');
  const settings = ['--set', 'phases.MT.epochs=2', '--set', 'phases.FT.epochs=2'];
  expect(printed(other, 'redo')).toEqual(['redo', run, 'PT', ...settings]);
  // Another recipe: all phases that it changes depend on PT.
  const lr = await refused('run', run, '--set', 'phases.MT.optimizer.lr=0.002');
  expect(printed(lr, 'redo')).toEqual(['redo', run, 'PT', '--set', 'phases.MT.optimizer.lr=0.002']);
  await runs(...printed(lr, 'redo'), '--quiet');
  const missing = copy('short run', 'MT', 'FT');
  const stderr = await refused('phase', missing, 'FT');
  expect(printed(stderr, 'run')).toEqual(['run', missing, '--only', 'MT/0,MT/1']);
  await runs(...printed(stderr, 'run'), '--quiet');
});

test('bundles: nothing to pack yet, an existing target, and the next command', async () => {
  const run = copy('packed run', 'MT/1/result.json', 'FT');
  const [work, module] = [at('w.tar'), at('m.tar')];
  expect(printed(await refused('pack', join(run, 'MT/1'), module), 'run')).toEqual([
    'run',
    run,
    '--only',
    'MT/1',
  ]);
  const hint = await refused('pack', run, work);
  expect(printed(hint, "pack '[^']*/MT/0'")).toEqual(['pack', join(run, 'MT/0'), work]);
  await runs(...printed(hint, "pack '[^']*run'"));

  const full = await refused('unpack', work, '--into', run);
  expect(printed(full, 'unpack')).toEqual(['unpack', work, '--into', `${run}-2`]);
  const { stdout } = await runs(...printed(full, 'unpack'));
  expect(printed(stdout, 'run')).toEqual(['run', `${run}-2`, '--only', 'MT/1']);
});

test('files that are damaged, and launchers', async () => {
  const run = copy('damaged run');
  writeFileSync(join(run, 'plan.json'), '{}');
  for (const command of ['status', 'report']) {
    expect(printed(await refused(command, run), 'run')).toEqual(['run', run]);
  }
  const kubernetes = await refused('run', recipe, '--launcher', 'kubernetes');
  await runs(...printed(kubernetes, 'run'), '--out', '/data/x');
  for (const given of [recipe, whole]) {
    await runs(...printed(await refused('run', given, '--dry-run'), 'plan'));
  }
});

test('no error or hint has a placeholder in a command, or a command without npx', () => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.ts$/.test(name) && !/\.test\.ts$|^cli\/declare\//.test(name))
    .map((name) => `src/${name}`);
  expect(files.length).toBeGreaterThan(300);
  const lines = files.flatMap((path) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => !/^\s*(\*|\/\/|\/\*\*)/.test(line))
      .map((line) => `${path}: ${line.trim()}`),
  );
  const withPlaceholder =
    /(npx deep-incubation |ownCommand\().*\b(RUN|RECIPE|CHECKPOINT|DIR|FOLDER|BUNDLE|PHASE|OUT|IMAGES|FILE)\b/;
  expect(lines.filter((line) => withPlaceholder.test(line))).toEqual([]);
  const withoutNpx =
    /(?<!npx )(?<=['"` ])deep-incubation (run|redo|pack|unpack|eval|convert|inspect|plan|status|cancel|data check|setup|doctor|report|watch|export|phase|predict|sweep|lr-test)\b/;
  const help = /src\/cli\/program\.ts|kubernetes-jobs\.ts/;
  expect(lines.filter((line) => withoutNpx.test(line) && !help.test(line))).toEqual([]);
});
