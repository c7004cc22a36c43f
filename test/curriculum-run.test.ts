import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { liveHolder } from '../src/files/folder-lock.js';
import { latestCheckpoint, readCheckpoint } from '../src/run/checkpoint-store.js';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const recipe = at('recipe.json');
const MODULES = ['MT/0', 'MT/1'];

/** Each stage has another size and magnitude; 5, 10 and 17 tokens. */
const curriculum = [
  { until: 0.25, size: 8, low_pass: true, magnitude: 0 },
  { until: 0.6, size: 12, magnitude: 5 },
  {},
];

beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 5 });
  const tiny = tinyRecipe(at('images')) as Record<'model' | 'data' | 'training', object>;
  writeFileSync(
    recipe,
    JSON.stringify({
      ...tiny,
      model: { ...tiny.model, patch_size: 4 },
      incubation: { modules: 2, together: true },
      data: { ...tiny.data, augment: { auto: 'rand-m9-mstd0.5-inc1', mixup: 0.8, cutmix: 1, erase: 0.25 } },
      training: { ...tiny.training, total_batch: 16, drop_path: 0.2, checkpoint_every: 0.05, curriculum },
      phases: { PT: { epochs: 24 }, MT: { epochs: 20 }, FT: { epochs: 2, curriculum: null }, E2E: {} },
    }),
  );
  expect(await cli(['run', recipe, '--out', at('whole'), '--quiet'])).toMatchObject({ code: 0 });
}, 400_000);

const stepsOf = (run: string, phase: string) =>
  jsonLines(join(at(run), phase, 'metrics.jsonl')).filter(({ kind }) => kind === 'step') as {
    step: number;
    loss: number;
    image_size?: number;
    block_passes: number;
  }[];

const resultOf = (run: string, phase: string) =>
  JSON.parse(readFileSync(join(at(run), phase, 'result.json'), 'utf8'));

/** The weights and the state of the optimiser at the end. */
function endOf(run: string, phase: string): Map<string, Float32Array> {
  const { checkpoint } = latestCheckpoint(join(at(run), phase));
  if (checkpoint === undefined) throw new Error(`${phase} has no checkpoint`);
  const { model, optimizer } = readCheckpoint(checkpoint);
  const floats = [...model, ...optimizer].filter(([, { dtype }]) => dtype === 'F32');
  return new Map(floats.map(([name, { data }]) => [name, new Float32Array(new Uint8Array(data).buffer)]));
}

function expectEnd(run: string, phase: string, most: number): void {
  const [expected, found] = ['whole', run].map((name) => stepsOf(name, phase));
  expect(found.map(({ step, image_size }) => [step, image_size])).toEqual(
    expected.map(({ step, image_size }) => [step, image_size]),
  );
  for (const [i, { loss }] of found.entries()) {
    expect(Math.abs(loss - expected[i].loss)).toBeLessThanOrEqual(most);
  }
  const others = endOf('whole', phase);
  for (const [name, values] of endOf(run, phase)) {
    const other = others.get(name) ?? new Float32Array();
    const apart = values.reduce((worst, value, i) => Math.max(worst, Math.abs(value - other[i])), 0);
    expect(apart, name).toBeLessThanOrEqual(most);
  }
}

/** Kills a run in each stage of phases whose stages begin at the steps `starts`, then lets it finish. */
async function killInEachStage(run: string, phases: readonly string[], starts: readonly number[]) {
  const last = phases[phases.length - 1];
  const reached = () => Number(stepsOf(run, last).at(-1)?.step ?? 0);
  const only = ['--only', phases.join(',')];
  for (const step of starts.map((start) => start + 3)) {
    const killed = start(['run', recipe, '--out', at(run), ...only]);
    await until(() => reached() >= step || killed.process.exitCode !== null, `step ${step}`);
    killed.process.kill('SIGKILL');
    await killed.ended;
    await until(() => phases.every((name) => liveHolder(join(at(run), name)) === undefined), 'the orphan');
  }
  expect(existsSync(join(at(run), last, 'result.json'))).toBe(false);
  expect(await cli(['run', recipe, '--out', at(run), ...only, '--quiet'])).toMatchObject({ code: 0 });
  const log = readFileSync(join(at(run), last, 'log.txt'), 'utf8');
  expect(log.match(/resumes from step/g)?.length).toBeGreaterThanOrEqual(2);
}

test('every step has the size of its stage, and costs its share of the tokens', () => {
  const steps = stepsOf('whole', 'PT');
  expect(steps.map(({ image_size }) => image_size)).toEqual([
    ...Array(12).fill(8),
    ...Array(17).fill(12),
    ...Array(19).fill(16),
  ]);
  const perStep = steps.map(({ block_passes }, i) => block_passes - (steps[i - 1]?.block_passes ?? 0));
  // 16 images, two trained blocks.
  for (const [i, tokens] of [5, 10, 17].entries()) {
    expect(perStep[[3, 20, 40][i]]).toBeCloseTo((16 * 6 * tokens) / 17, 8);
  }
  expect(stepsOf('whole', 'FT').every(({ image_size }) => image_size === undefined)).toBe(true);
});

test('end to end trains until equal cost, with its own curriculum', () => {
  const budget = ['PT', ...MODULES, 'FT'].reduce(
    (sum, name) => sum + resultOf('whole', name).block_passes,
    0,
  );
  const { block_passes, steps, curriculum: stages } = resultOf('whole', 'E2E');
  expect(block_passes).toBeGreaterThanOrEqual(budget - 1e-6);
  expect(block_passes - budget).toBeLessThan(16 * 12);
  expect(stages.map(({ image_size }: { image_size: number }) => image_size)).toEqual([8, 12, 16]);
  expect(stages.reduce((sum: number, stage: { steps: number }) => sum + stage.steps, 0)).toBe(steps);
});

test('plan, log, summary and report name the stages', async () => {
  const line = '8 px, low-pass, m0 until step 12; 12 px, m5 until step 29; 16 px until step 48';
  const { stdout } = await cli(['plan', recipe]);
  expect(stdout).toContain(`Curriculum of PT: ${line}.`);
  expect(stdout).toMatch(/Curriculum of MT\/0, MT\/1: 8 px.* until step 40\.\n/);
  expect(readFileSync(join(at('whole'), 'PT/log.txt'), 'utf8')).toContain(`curriculum: ${line}`);
  const summary = JSON.parse(readFileSync(join(at('whole'), 'summary.json'), 'utf8'));
  expect(summary.phases[0].curriculum[1]).toEqual({
    steps: 17,
    image_size: 12,
    low_pass: false,
    magnitude: 5,
  });
  expect(readFileSync(join(at('whole'), 'report/index.html'), 'utf8')).toContain(
    `Curriculum of PT: ${line}.`,
  );
});

test('killed in each stage, a phase ends with the same weights', async () => {
  await killInEachStage('killed', ['PT'], [0, 12, 29]);
  expectEnd('killed', 'PT', 0);
}, 400_000);

test('killed in each stage, modules that train together end with the same weights', async () => {
  expect(await cli(['run', recipe, '--out', at('modules'), '--only', 'PT', '--quiet'])).toMatchObject({
    code: 0,
  });
  await killInEachStage('modules', MODULES, [0, 10, 24]);
  for (const name of MODULES) expectEnd('modules', name, 1e-5);
}, 400_000);

test('two processes train like one, and resume after a stop', async () => {
  const two = ['--set', 'run.ranks=2', '--only', 'PT'];
  const stopped = start(['run', recipe, '--out', at('two'), ...two]);
  await until(() => Number(stepsOf('two', 'PT').at(-1)?.step ?? 0) >= 15, 'step 15');
  stopped.process.kill('SIGTERM');
  await stopped.ended;
  expect(await cli(['run', recipe, '--out', at('two'), ...two, '--quiet'])).toMatchObject({ code: 0 });
  expectEnd('two', 'PT', 1e-4);
}, 400_000);
