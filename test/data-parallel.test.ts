import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { freePort } from '../src/launch/processes/ranks.js';
import { latestCheckpoint, newestStep, readCheckpoint } from '../src/run/checkpoint-store.js';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';
import { processesOf } from './processes.js';

const folder = temporaryFolder();
const recipe = join(folder, 'recipe.json');
const [alone, together] = [join(folder, 'alone'), join(folder, 'together')];
const at = (name: string) => join(folder, name);

// 32 images, steps of four micro-batches of four, with drop path.
beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 5 });
  const tiny = tinyRecipe(at('images')) as { training: object; phases: object };
  const training = {
    ...tiny.training,
    batch_size: 4,
    total_batch: 16,
    drop_path: 0.2,
    clip_grad: 1,
    ema: 0.9,
  };
  const phases = { PT: { epochs: 40 }, E2E: 'none' };
  writeFileSync(recipe, JSON.stringify({ ...tiny, training, phases }));
  expect(await cli(['run', recipe, '--out', alone])).toMatchObject({ code: 0 });
});

/** Steps, losses, evaluations and weights are those of one process, to rounding. */
function expectSame(run: string, phase: string): void {
  const [expected, found] = [alone, run].map((dir) => jsonLines(join(dir, phase, 'metrics.jsonl')));
  const shape = (records: Record<string, unknown>[]) =>
    records.map((record) => [record.kind, record.step, record.images, Object.keys(record)]);
  expect(shape(found)).toEqual(shape(expected));
  for (const [i, { loss }] of found.entries()) {
    expect(Math.abs(Number(loss) / Number(expected[i].loss) - 1)).toBeLessThan(1e-5);
  }
  const [a, b] = [alone, run].map((dir) => tensorsOf(join(dir, phase)));
  expect([...b.keys()]).toEqual([...a.keys()]);
  for (const [name, values] of b) {
    const differences = values.map((value, i) => Math.abs(value - (a.get(name)?.[i] ?? Number.NaN)));
    expect(Math.max(...differences), name).toBeLessThan(1e-4);
  }
}

/** Model and optimiser state of the latest checkpoint. */
function tensorsOf(phase: string): Map<string, readonly number[]> {
  const { checkpoint } = latestCheckpoint(phase);
  if (checkpoint === undefined) throw new Error(`no checkpoint in ${phase}`);
  const { model, optimizer } = readCheckpoint(checkpoint);
  return new Map(
    [...model, ...optimizer]
      .filter(([, { dtype }]) => dtype === 'F32')
      .map(([name, { data }]) => [name, [...new Float32Array(new Uint8Array(data).buffer)]] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1)),
  );
}

test('a run with two processes for each phase equals the run with one, at the same total_batch', async () => {
  const ended = await cli(['run', recipe, '--out', together, '--set', 'run.ranks=2']);
  expect(ended).toMatchObject({ code: 0 });
  for (const phase of ['PT', 'MT/0', 'MT/1', 'FT']) expectSame(together, phase);
  expect(readFileSync(join(together, 'PT/log.txt'), 'utf8').match(/2 processes/g)).toHaveLength(1);
});

test('under a launcher: the folder prepared by rank 0, the optimiser state sharded', async () => {
  const common = { MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(await freePort()), WORLD_SIZE: '2' };
  const settings = ['--set', 'training.optimizer.sharded=true', '--out', at('launched')];
  const ranks = ['0', '1'].map((rank) =>
    cli(['phase', recipe, 'PT', ...settings], { env: { ...common, RANK: rank, LOCAL_RANK: rank } }),
  );
  const [first, second] = await Promise.all(ranks);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(second).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(first.stdout).toMatch(/^PT: top-1 [\d.]+ %/);
  expectSame(at('launched'), 'PT');
  expect(JSON.parse(readFileSync(at('launched/PT/result.json'), 'utf8')).ranks).toBe(2);
  const early = await cli(['phase', at('launched'), 'FT']);
  expect(early).toMatchObject({ code: 2 });
  expect(early.stderr).toContain('FT starts from MT/0, MT/1, which is not done');
});

test('Ctrl-C under a launcher, which passes on a signal of its own: one request, and a checkpoint', async () => {
  const run = at('passed-on');
  const common = { MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(await freePort()), WORLD_SIZE: '2' };
  const ranks = ['0', '1'].map((rank) =>
    start(['phase', recipe, 'PT', '--out', run, '--set', 'phases.PT.epochs=20000'], {
      env: { ...common, RANK: rank, LOCAL_RANK: rank },
    }),
  );
  await until(() => jsonLines(join(run, 'PT/metrics.jsonl')).length > 5, 'training');
  // Stopped, so that it cannot exit before all of them exist.
  const pass = (name: NodeJS.Signals) => {
    for (const { process } of ranks) process.kill(name);
  };
  pass('SIGSTOP');
  pass('SIGINT');
  pass('SIGTERM');
  pass('SIGCONT');
  const [first, second] = await Promise.all(ranks.map(({ ended }) => ended));
  // Either signal may arrive first.
  for (const { code } of [first, second]) expect([130, 143]).toContain(code);
  const step = Number(/PT was interrupted at step (\d+) of/.exec(first.stderr)?.[1]);
  expect(newestStep(join(run, 'PT'))).toBe(step);
});

test('micro-batches that cannot be shared evenly are refused', async () => {
  const { code, stderr } = await cli(['run', recipe, '--out', at('odd'), '--set', 'run.ranks=3']);
  expect(code).toBe(2);
  expect(stderr).toContain(
    'a step of 4 micro-batches of 4 images cannot be divided evenly among 3 processes',
  );
});

test('a rank is killed, then all are stopped: the run resumes and ends with the same result', async () => {
  const run = at('broken');
  const metrics = join(run, 'PT/metrics.jsonl');
  const reached = (step: number) => () => Number(jsonLines(metrics).at(-1)?.step ?? 0) >= step;
  const begin = () => start(['run', recipe, '--out', run, '--only', 'PT', '--set', 'run.ranks=2']);

  const stopped = begin();
  await until(reached(2), 'step 2');
  stopped.process.kill('SIGTERM');
  expect(await stopped.ended).toMatchObject({ code: 143 });
  expect(latestCheckpoint(join(run, 'PT')).checkpoint?.manifest.step).toBeGreaterThanOrEqual(2);

  const killed = begin();
  await until(() => processesOf(run).length === 2, 'two processes');
  const last = Number(jsonLines(metrics).at(-1)?.step);
  await until(reached(last + 2), 'two more steps');
  const victim = processesOf(run).find(({ rank }) => rank === 1);
  process.kill(victim?.pid as number, 'SIGKILL');
  const { code, stderr } = await killed.ended;
  expect(stderr).toMatch(/PT died of SIGKILL.*resuming from its last checkpoint in [\d.]+ s \(restart 1\)/);
  expect(code).toBe(0);
  expectSame(run, 'PT');
  expect(processesOf(run)).toEqual([]);
});
