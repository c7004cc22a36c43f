import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { depthSettings, redoPhase } from '../src/launch/exchange/redo.js';
import { recipeOfRun } from '../src/launch/run-recipe.js';
import { cli, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';

// Two folders stand for two machines, which exchange only bundles.

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const [recipe, whole, home, there, other] = ['recipe.json', 'whole', 'home', 'there', 'other'].map(at);
const [work, module, strange] = ['work.tar', 'module.tar', 'strange.tar'].map(at);
const CPU = ['--set', 'run.device=cpu', '--set', 'run.threads=1', '--quiet'];

beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 5 });
  cpSync(at('images'), at('elsewhere/pictures'), { recursive: true });
  const tiny = tinyRecipe(at('images')) as { phases: object };
  writeFileSync(recipe, JSON.stringify({ ...tiny, phases: { PT: { epochs: 2 } } }));
  await succeed('run', recipe, '--out', whole, '--quiet');
  await succeed('run', recipe, '--out', home, '--only', 'PT,MT/0', '--quiet');
  await succeed('run', recipe, '--out', other, '--only', 'PT,MT/1', '--set', 'seed=1', '--quiet');
});

async function succeed(...args: string[]) {
  const ended = await cli(args);
  expect(ended.code, ended.stderr).toBe(0);
  return ended;
}

interface Manifest {
  readonly depths: number[];
  readonly files: Record<string, { sha256: string }>;
  readonly lineage: { parent: string | null; recipe: string; data: string };
}

function manifestOf(phase: string): Manifest {
  const checkpoints = join(phase, 'checkpoints');
  const latest = readFileSync(join(checkpoints, 'latest'), 'utf8').trim();
  return JSON.parse(readFileSync(join(checkpoints, latest, 'manifest.json'), 'utf8'));
}

const weightsOf = (phase: string) => manifestOf(phase).files['model.safetensors'].sha256;

test('manifests contain the hashes of the meta model, the recipe and the data', () => {
  const [pt, first, second, tuned] = ['PT', 'MT/0', 'MT/1', 'FT'].map(
    (phase) => manifestOf(join(whole, phase)).lineage,
  );
  expect(pt.parent).toBeNull();
  expect(first.parent).toMatch(/^[0-9a-f]{64}$/);
  expect(second.parent).toBe(first.parent);
  expect(tuned.parent).not.toBe(first.parent);
  expect(new Set([pt, first, second, tuned].map(({ data }) => data)).size).toBe(1);
  expect(new Set([pt, first, second, tuned].map((each) => each.recipe)).size).toBe(4);
  expect(manifestOf(join(other, 'MT/1')).lineage.parent).not.toBe(first.parent);
});

test('a module incubated on another machine gives the same run as one machine, bit for bit', async () => {
  await succeed('pack', home, work, '--for', 'MT/1');
  await succeed('unpack', work, '--into', there);
  expect(readFileSync(join(there, 'recipe.json'), 'utf8')).not.toContain(folder);
  await succeed('run', there, '--only', 'MT/1', '--set', `data.path=${at('elsewhere/pictures')}`, ...CPU);
  await succeed('pack', join(there, 'MT/1'), module);
  await succeed('unpack', module, '--into', home);
  expect(weightsOf(join(home, 'MT/1'))).toBe(weightsOf(join(whole, 'MT/1')));
  expect(manifestOf(join(home, 'MT/1')).lineage).toEqual(manifestOf(join(whole, 'MT/1')).lineage);

  await succeed('run', home, '--quiet');
  expect(manifestOf(join(home, 'FT')).files).toEqual(manifestOf(join(whole, 'FT')).files);
  expect(manifestOf(join(home, 'FT')).lineage).toEqual(manifestOf(join(whole, 'FT')).lineage);
  expect(readdirSync(home).filter((name) => name.startsWith('.tmp-'))).toEqual([]);
});

test('work with an imported meta model has the same parent', async () => {
  const start = ['--set', `start.meta=${join(home, 'PT')}`];
  const [importing, packed, far] = ['importing', 'imported.tar', 'far'].map(at);
  await succeed('run', recipe, '--out', importing, '--only', 'MT/0', ...start, '--quiet');
  expect(manifestOf(join(importing, 'MT/0')).lineage.parent).toBe(
    manifestOf(join(home, 'MT/0')).lineage.parent,
  );
  await succeed('pack', importing, packed, '--for', 'MT/1');
  await succeed('unpack', packed, '--into', far);
  await succeed('run', far, '--only', 'MT/1', '--set', `data.path=${at('images')}`, ...CPU);
  expect(weightsOf(join(far, 'MT/1'))).toBe(weightsOf(join(whole, 'MT/1')));
});

test('unpack refuses a module of another meta model, an existing module, and work for an existing folder', async () => {
  await succeed('pack', join(other, 'MT/1'), strange);
  const [own, its] = [home, other].map((run) => manifestOf(join(run, 'MT/1')).lineage.parent?.slice(0, 12));
  const refused = await cli(['unpack', strange, '--into', home, '--replace']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain(
    `MT/1 was incubated against the meta model ${its}, but that of ${home} is ${own}`,
  );
  expect(refused.stderr).toContain('--force');

  const twice = await cli(['unpack', module, '--into', home]);
  expect(twice).toMatchObject({ code: 2, stderr: expect.stringContaining(`${home} already has MT/1`) });
  const full = await cli(['unpack', work, '--into', home]);
  expect(full).toMatchObject({ code: 2, stderr: expect.stringContaining(`${home} already exists`) });
  const nowhere = await cli(['unpack', module]);
  expect(nowhere).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('name the run that it was packed for with --into'),
  });
  expect(weightsOf(join(home, 'MT/1'))).toBe(weightsOf(join(whole, 'MT/1')));
  expect(existsSync(join(home, 'previous'))).toBe(false);
});

test('modules of different meta models are refused by name; with --force they are assembled', async () => {
  const mixed = at('mixed');
  for (const part of ['recipe.json', 'PT', 'MT/0']) {
    cpSync(join(whole, part), join(mixed, part), { recursive: true });
  }
  cpSync(join(other, 'MT/1'), join(mixed, 'MT/1'), { recursive: true });
  const [first, second] = ['MT/0', 'MT/1'].map((phase) =>
    manifestOf(join(mixed, phase)).lineage.parent?.slice(0, 12),
  );
  const problem = `FT: its modules were incubated against different meta models: MT/0 against ${first}, MT/1 against ${second}`;
  for (const command of [
    ['run', mixed],
    ['run', recipe, '--out', mixed],
    ['phase', mixed, 'FT'],
  ]) {
    const refused = await cli(command);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(problem);
    expect(refused.stderr).toContain(`redo ${mixed} MT/1; or --force: modules of different`);
  }
  const forced = await cli(['run', mixed, '--force', '--quiet']);
  expect(forced.code).toBe(0);
  expect(forced.stderr).toContain('Forced: modules of different meta models');
  expect(readFileSync(join(mixed, 'FT/log.txt'), 'utf8')).toContain(problem);
});

test('modules whose meta model was retrained are refused', async () => {
  const changed = at('changed');
  cpSync(join(whole, 'recipe.json'), join(changed, 'recipe.json'));
  cpSync(join(whole, 'MT'), join(changed, 'MT'), { recursive: true });
  cpSync(join(other, 'PT'), join(changed, 'PT'), { recursive: true });
  const { code, stderr } = await cli(['run', changed]);
  expect(code).toBe(2);
  expect(stderr).toContain("the run's meta model is ");
  expect(stderr).toContain('incubate MT/0, MT/1 again');
});

test('a single module is retrained, longer, wider or deeper, and the model assembled from it', async () => {
  const run = at('redone');
  cpSync(whole, run, { recursive: true });
  const before = Object.fromEntries(
    ['PT', 'MT/0', 'MT/1', 'FT'].map((name) => [name, weightsOf(join(run, name))]),
  );

  const others = await cli(['redo', run, 'MT/1', '--set', 'phases.MT.epochs=3']);
  expect(others.code).toBe(2);
  expect(others.stderr).toContain('would also change MT/0, not only MT/1');
  expect(others.stderr).toContain('phases.modules.1.epochs');
  expect(existsSync(join(run, 'previous'))).toBe(false);

  const tooLarge = await cli(['redo', run, 'MT/1', '--set', 'phases.modules.1.batch_size=1000']);
  expect(tooLarge).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('MT/1: a step needs 1000 images'),
  });
  expect(existsSync(join(run, 'previous'))).toBe(false);

  const settings = ['phases.modules.1.epochs=3', 'phases.modules.1.data.train_images=16'];
  const redone = await succeed('redo', run, 'MT/1', ...settings.flatMap((each) => ['--set', each]));
  expect(redone.stderr).toContain(`The previous MT/1, FT moved to ${join(run, 'previous/1')}`);
  expect(JSON.parse(readFileSync(join(run, 'MT/1/result.json'), 'utf8'))).toMatchObject({
    steps: 6,
    images: 48,
  });
  for (const name of ['PT', 'MT/0']) expect(weightsOf(join(run, name))).toBe(before[name]);
  for (const name of ['MT/1', 'FT']) {
    expect(weightsOf(join(run, name))).not.toBe(before[name]);
    expect(weightsOf(join(run, 'previous/1', name))).toBe(before[name]);
  }
  const [old, now] = [join(run, 'previous/1'), run].map((each) => manifestOf(join(each, 'MT/1')).lineage);
  expect(now.parent).toBe(old.parent);
  expect(now.recipe).not.toBe(old.recipe);
  expect(now.data).not.toBe(old.data);
  // The recipe file no longer matches the run; the run itself can still be resumed.
  expect(await cli(['run', recipe, '--out', run])).toMatchObject({ code: 2 });
  expect((await cli(['run', run])).stderr).toContain('Nothing to train');

  await succeed('redo', run, 'MT/0', '--depth', '3', '--quiet');
  expect(manifestOf(join(run, 'MT/0')).depths).toEqual([3, 1]);
  expect(manifestOf(join(run, 'FT')).depths).toEqual([3, 2]);
  expect(weightsOf(join(run, 'previous/2/MT/0'))).toBe(before['MT/0']);
});

test('a deeper module: the baseline is another model and retrained; until then the old one is not reported', async () => {
  const [paired, run] = [at('paired.json'), at('paired')];
  const tiny = tinyRecipe(at('images')) as { phases: object };
  const phases = { PT: { epochs: 2 }, E2E: {} };
  writeFileSync(paired, JSON.stringify({ ...tiny, phases }));
  await succeed('run', paired, '--out', run, '--quiet');
  const json = (path: string) => JSON.parse(readFileSync(join(run, path), 'utf8'));
  const planned = () =>
    json('plan.json').phases.find(({ phase }: { phase: string }) => phase === 'E2E').steps;
  const [before, summary] = [weightsOf(join(run, 'E2E')), json('summary.json')];

  // The baseline has the same model, so it is kept; a message says that its cost no longer matches.
  const steps = planned();
  const longer = await succeed('redo', run, 'MT/1', '--set', 'phases.modules.1.epochs=6');
  expect(planned()).toBeGreaterThan(steps);
  expect(longer.stderr).toContain(`E2E was kept with its ${steps} steps. For as many block-passes`);
  expect(longer.stderr).toContain(
    `as the other phases, it now needs ${planned()}. To retrain it: npx deep-incubation redo ${run} E2E`,
  );
  expect(weightsOf(join(run, 'E2E'))).toBe(before);
  expect(json('previous/1/summary.json')).toEqual(summary);
  expect(json('summary.json').phases.map(({ phase }: { phase: string }) => phase)).toContain('E2E');

  // As after a `redo` that was stopped before training.
  const redone = redoPhase(run, 'MT/0', depthSettings(recipeOfRun(run), 'MT/0', 3));
  expect(redone).toMatchObject({ phases: ['MT/0', 'FT', 'E2E'], baseline: undefined });
  expect(['summary.json', 'report', 'E2E', 'FT'].map((name) => existsSync(join(run, name)))).toEqual(
    Array(4).fill(false),
  );
  const reported = await succeed('report', run);
  expect(readFileSync(join(run, 'report/index.html'), 'utf8')).toContain('Not started: MT/0, FT, E2E.');
  expect(reported.stdout).not.toContain('points ahead');
  const stand = (await succeed('status', run)).stdout;
  expect(stand).toMatch(new RegExp(`^E2E +waiting +0/${planned()}`, 'm'));
  expect(stand).toContain(`To resume: npx deep-incubation run ${run}`);

  await succeed('run', run, '--quiet');
  expect(manifestOf(join(run, 'E2E')).depths.reduce((sum, each) => sum + each, 0)).toBe(5);
  expect(json('E2E/result.json').steps).toBe(planned());
  expect(weightsOf(join(run, 'previous/2/E2E'))).toBe(before);
  expect(json('summary.json').end_to_end.top1).toBe(json('E2E/result.json').top1);
});

test('an unfinished baseline is retrained if its cost changes', async () => {
  const [paired, run] = [at('half.json'), at('half')];
  const tiny = tinyRecipe(at('images')) as { phases: object };
  writeFileSync(paired, JSON.stringify({ ...tiny, phases: { PT: { epochs: 2 }, E2E: {} } }));
  await succeed('run', paired, '--out', run, '--quiet');
  rmSync(join(run, 'E2E/result.json'));
  expect(redoPhase(run, 'MT/1', ['phases.modules.1.epochs=6']).phases).toEqual(['MT/1', 'FT', 'E2E']);
});
