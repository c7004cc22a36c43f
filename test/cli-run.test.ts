import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { phasesIn } from '../src/run/run-folder.js';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';
import { childrenOf, isAlive } from './processes.js';

const folder = temporaryFolder();
const images = join(folder, 'images');
const recipe = join(folder, 'recipe.json');
const [whole, broken] = [join(folder, 'whole'), join(folder, 'broken')];
const PHASES = ['PT', 'MT/0', 'MT/1', 'FT', 'E2E'];

beforeAll(async () => {
  await writeImages(images, { train: 16, val: 5 });
  writeFileSync(recipe, JSON.stringify(tinyRecipe(images)));
});

test('a run trains every phase, prints a summary, and says when it is already done', async () => {
  const { code, stdout, stderr } = await cli(['run', recipe, '--out', whole, '--json']);
  expect(stderr).toContain('E2E   done');
  expect(code).toBe(0);
  const summary = JSON.parse(stdout);
  expect(summary).toMatchObject({ name: 'tiny', run: whole, phases_run: PHASES });
  expect(summary.phases.map((phase: { phase: string }) => phase.phase)).toEqual(PHASES);
  const sum = summary.phases
    .slice(0, -1)
    .reduce((total: number, phase: { seconds: number }) => total + phase.seconds, 0);
  expect(summary.incubation.seconds).toBeCloseTo(sum, 9);
  expect(readJson(join(whole, 'summary.json'))).toMatchObject({ incubation: summary.incubation });
  expect(readJson(join(whole, 'recipe.json'))).toMatchObject({ name: 'tiny', seed: 0, versions: {} });
  expect(existsSync(join(whole, 'report/index.html'))).toBe(true);
  // Both models were evaluated on the same images, and each evaluation records its correct predictions.
  expect(summary).toMatchObject({
    difference_is_paired: true,
    difference_interval: [expect.any(Number), expect.any(Number)],
  });
  expect(summary.incubation.evaluation_images).toBe(summary.end_to_end.evaluation_images);

  const again = await cli(['run', recipe, '--out', whole]);
  expect(again).toMatchObject({ code: 0 });
  expect(again.stderr).toContain('Nothing to train: all requested phases are done.');
  expect(again.stdout).toMatch(/^Deep Incubation +[\d.]+ M/m);
  expect(again.stdout).toContain(`Report: ${join(whole, 'report/index.html')}`);
});

test('without incubation a run is only E2E, and eval reads its checkpoint', async () => {
  const out = join(folder, 'plain');
  const plain = ['run', recipe, '--out', out, '--set', 'incubation=none'];
  const { code, stdout } = await cli([...plain, '--json']);
  expect(code).toBe(0);
  const summary = JSON.parse(stdout);
  expect(summary).toMatchObject({ phases_run: ['E2E'], end_to_end: expect.any(Object) });
  expect(summary).not.toHaveProperty('incubation');
  const again = await cli(plain);
  expect(again).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('Nothing to train: all requested phases are done.'),
  });
  const evaluated = await cli(['eval', join(out, 'E2E'), '--data', images, '--json']);
  expect(JSON.parse(evaluated.stdout)).toMatchObject({
    top1: summary.end_to_end.top1,
    model: { depths: [4] },
  });
  const other = await cli(['run', recipe, '--out', out]);
  expect(other).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('incubation.modules 2 instead of unset'),
  });
});

test('eval of a phase equals its last evaluation', async () => {
  const { code, stdout } = await cli(['eval', join(whole, 'FT'), '--data', images, '--json']);
  expect(code).toBe(0);
  const { top1, loss } = readJson(join(whole, 'FT/result.json')) as { top1: number; loss: number };
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ top1, images: 10, model: { heads: 2, depths: [2, 2] } });
  expect(result.loss).toBeCloseTo(loss, 6);

  const inspected = JSON.parse((await cli(['inspect', join(whole, 'MT/1'), '--json'])).stdout);
  expect(inspected).toMatchObject({ format: 'checkpoint', manifest: { phase: 'MT/1', depths: [1, 2] } });
  expect(inspected.stages.map(({ blocks }: { blocks: number }) => blocks)).toEqual([1, 2]);
});

test('stopped and killed repeatedly, a run ends with the same result', async () => {
  const metrics = join(broken, 'PT/metrics.jsonl');
  const reached = (step: number) => () => Number(jsonLines(metrics).at(-1)?.step ?? 0) >= step;
  const begin = () => start(['run', recipe, '--out', broken]);

  // Ctrl-C: a checkpoint of exactly this step, although no evaluation is due.
  const stopped = begin();
  await until(reached(5), 'step 5');
  stopped.process.kill('SIGINT');
  const ending = await stopped.ended;
  expect(ending.code).toBe(130);
  const interrupted = ending.stderr.match(
    /error: PT was interrupted at step (\d+) of 240\n {2}hint: the same command resumes it/,
  );
  expect(steps()).toContain(interrupted?.[1]);

  // The phase is killed and restarted by its supervisor. Then the supervisor is killed.
  const killed = begin();
  await until(reached(60), 'step 60');
  const [phase] = childrenOf(killed.process.pid as number);
  process.kill(phase, 'SIGKILL');
  await until(() => childrenOf(killed.process.pid as number).some((pid) => pid !== phase), 'a new process');
  await until(reached(100), 'step 100');
  const [orphan] = childrenOf(killed.process.pid as number);
  killed.process.kill('SIGKILL');
  expect((await killed.ended).stderr).toContain('PT died of SIGKILL');
  await until(() => !isAlive(orphan), 'the end of the orphan');
  expect(existsSync(join(broken, 'PT/result.json'))).toBe(false);

  const { code, stderr } = await begin().ended;
  expect(stderr).toMatch(/PT +resumed at step [1-9]/);
  expect(code).toBe(0);
  for (const name of PHASES) {
    const [a, b] = [whole, broken].map((run) => jsonLines(join(run, name, 'metrics.jsonl')).map(untimed));
    expect(b).toEqual(a);
    const [first, second] = [whole, broken].map((run) => untimed(readJson(join(run, name, 'result.json'))));
    expect(second).toEqual(first);
    const [left, right] = [whole, broken].map((run) => weightHashes(join(run, name)));
    expect(right).toEqual(left);
  }
  expect(phasesIn(broken)).toEqual(PHASES);
});

test('report writes the page of a run', async () => {
  const { code, stdout } = await cli(['report', whole]);
  expect(code).toBe(0);
  expect(readFileSync(stdout.trim(), 'utf8')).toContain('Deep Incubation run');
});

function steps(): string[] {
  return readdirSync(join(broken, 'PT/checkpoints')).filter((name) => /^\d+$/.test(name));
}

function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** A record without the values that depend on the clock. */
function untimed(record: Record<string, unknown>): Record<string, unknown> {
  const { seconds, images_per_second, memory_bytes, data_wait, time, ...rest } = record;
  return rest;
}

/** Hashes of weights and optimiser in the last checkpoint's manifest. */
function weightHashes(phase: string): unknown {
  const latest = readFileSync(join(phase, 'checkpoints/latest'), 'utf8').trim();
  return readJson(join(phase, 'checkpoints', latest, 'manifest.json')).files;
}
