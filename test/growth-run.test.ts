import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';

const folder = temporaryFolder();
const images = join(folder, 'images');
const recipe = join(folder, 'recipe.json');
const [modules, growth] = [join(folder, 'modules'), join(folder, 'growth')];

beforeAll(async () => {
  await writeImages(images, { train: 16, val: 5 });
  const tiny = tinyRecipe(images);
  writeFileSync(recipe, JSON.stringify({ ...tiny, phases: { PT: { epochs: 3 }, E2E: {} } }));
});

const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
function manifestOf(phase: string) {
  const step = readFileSync(join(phase, 'checkpoints/latest'), 'utf8').trim();
  return json(join(phase, 'checkpoints', step, 'manifest.json'));
}
const evaluations = (phase: string) =>
  jsonLines(join(phase, 'metrics.jsonl')).filter(({ kind }) => kind === 'eval');

test('each grown module starts with the meta model’s own score, and the run reports how modules started', async () => {
  const ran = await cli(['run', recipe, '--out', modules, '--set', 'incubation.init=grown']);
  expect(ran).toMatchObject({ code: 0 });
  const meta = evaluations(join(modules, 'PT')).at(-1);
  for (const name of ['MT/0', 'MT/1']) {
    const [first] = evaluations(join(modules, name));
    expect(first).toMatchObject({ step: 0, loss: meta?.loss, top1: meta?.top1 });
    expect(manifestOf(join(modules, name))).toMatchObject({ init: 'grown', lineage: { parent: /./ } });
  }
  expect(json(join(modules, 'recipe.json')).incubation).toMatchObject({ init: 'grown', strategy: 'modules' });
});

test('growth is PT and FT, which starts as the meta model, with a baseline, a summary and a report', async () => {
  const set = ['--set', 'incubation.strategy=growth'];
  const plan = await cli(['plan', recipe, ...set]);
  expect(plan.stdout).toMatch(
    /^Growth costs [\d.]+ x the block-passes and [\d.]+ x the MACs of end-to-end training/m,
  );
  expect(plan.stdout).not.toContain('MT/0');
  const { code, stdout } = await cli(['run', recipe, '--out', growth, '--json', ...set]);
  expect(code).toBe(0);
  const summary = JSON.parse(stdout);
  expect(summary.phases_run).toEqual(['PT', 'FT', 'E2E']);
  expect(summary.growth.block_passes).toBe(summary.phases[0].block_passes + summary.phases[1].block_passes);
  expect(summary).not.toHaveProperty('incubation');
  const meta = evaluations(join(growth, 'PT')).at(-1);
  expect(evaluations(join(growth, 'FT'))[0]).toMatchObject({ step: 0, loss: meta?.loss, top1: meta?.top1 });
  expect(readFileSync(join(growth, 'report/index.html'), 'utf8')).toContain('grown from the meta model');
  const again = await cli(['run', recipe, '--out', growth, ...set]);
  expect(again.stdout).toMatch(/^Growth +[\d.]+ M/m);
});

test('a grown model whose training was killed ends with the same result', async () => {
  const broken = join(folder, 'broken');
  const args = [
    'run',
    recipe,
    '--out',
    broken,
    '--set',
    'incubation.strategy=growth',
    '--set',
    'phases.FT.epochs=30',
    '--only',
    'PT,FT',
  ];
  const killed = start(args);
  const metrics = join(broken, 'FT/metrics.jsonl');
  await until(
    () => existsSync(metrics) && Number(jsonLines(metrics).at(-1)?.step ?? 0) >= 20,
    'step 20 of FT',
  );
  killed.process.kill('SIGKILL');
  await killed.ended;
  expect(existsSync(join(broken, 'FT/result.json'))).toBe(false);
  const whole = join(folder, 'whole');
  for (const out of [broken, whole]) {
    expect(await cli(args.map((arg) => (arg === broken ? out : arg)))).toMatchObject({ code: 0 });
  }
  const hashes = (run: string) => manifestOf(join(run, 'FT')).files;
  expect(hashes(broken)).toBeDefined();
  expect(hashes(broken)).toEqual(hashes(whole));
});

test('a second step of growth starts from the grown model', async () => {
  const deeper = join(folder, 'deeper');
  const sets = [
    'incubation.strategy=growth',
    'model.depth=8',
    'incubation.meta_depth=2',
    `start.meta=${join(growth, 'FT')}`,
    'phases.E2E=none',
  ];
  const ran = await cli(['run', recipe, '--out', deeper, ...sets.flatMap((set) => ['--set', set])]);
  expect(ran).toMatchObject({ code: 0 });
  const before = evaluations(join(growth, 'FT')).at(-1);
  expect(evaluations(join(deeper, 'FT'))[0]).toMatchObject({ step: 0, loss: before?.loss });
});

test('models that cannot grow are refused with exit 2 before anything is trained', async () => {
  const out = join(folder, 'refused');
  for (const set of [
    ['incubation.init=grown', 'incubation.meta_depth=3'],
    ['incubation.strategy=growth', 'incubation.init=fresh'],
    ['incubation.strategy=growth', 'incubation.together=true'],
  ]) {
    const ran = await cli(['run', recipe, '--out', out, ...set.flatMap((each) => ['--set', each])]);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toMatch(/^error: .*incubation\.[\s\S]+hint: /m);
  }
  expect(existsSync(out)).toBe(false);
});
