import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InputError, RunError } from '../base/errors.js';
import type { PhaseName } from '../recipe/phase.js';
import { defineRecipe } from '../recipe/recipe.js';
import { runPipeline } from './pipeline.js';
import { planRun } from './prepare.js';

// A phase's process that does not train: it records its start and end, and writes a result or fails, as configured. A phase
// that has a companion in MEET ends only after the companion has started, so both run at the same time.
const FAKE = `
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
const [run, phase, , threads] = process.argv.slice(2);
const note = (what) => appendFileSync(run + '/order', what + ' ' + phase + ' ' + threads + '\\n');
note('start');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const companion = JSON.parse(process.env.MEET ?? '{}')[phase];
const hasMet = () => readFileSync(run + '/order', 'utf8').includes('start ' + companion + ' ');
if (companion === undefined) await sleep(300);
else for (const end = Date.now() + 50_000; !hasMet() && Date.now() < end; ) await sleep(10);
if (process.env.FAIL === phase) {
  process.send({ type: 'failed', kind: 'run', message: 'the loss is NaN', hint: 'lower it' });
  process.exit(1);
}
const zeros = { steps: 0, images: 0, block_passes: 0, macs: 0, seconds: 0, top1: 0, top5: 0, loss: 0 };
mkdirSync(run + '/' + phase, { recursive: true });
note('end');
writeFileSync(run + '/' + phase + '/result.json', JSON.stringify({ phase, ...zeros, parameters: 0, trained_parameters: 0, memory_bytes: 0 }));
if (process.env.SPOIL === phase) rmSync(run + '/PT/result.json');
if (process.env.GONE === phase) renameSync(run, run + '-gone');
process.disconnect();
`;

let runDir: string;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'pipeline-'));
  writeFileSync(join(runDir, 'fake.mjs'), FAKE);
});
afterEach(() => {
  delete process.env.FAIL;
  delete process.env.SPOIL;
  delete process.env.MEET;
  delete process.env.GONE;
  for (const folder of [runDir, `${runDir}-gone`]) rmSync(folder, { recursive: true, force: true });
});

function run(parallel: 'auto' | number, only?: PhaseName[]) {
  const recipe = defineRecipe({
    name: 'test',
    model: { preset: 'vit-tiny' },
    incubation: { modules: 3 },
    data: { format: 'folder' },
    phases: { E2E: {} },
    run: { parallel, device: 'cpu' },
  });
  const prepared = { recipe, runDir, plan: planRun(recipe, 1000), passedOver: [] };
  const command = [process.execPath, join(runDir, 'fake.mjs')];
  return runPipeline({ prepared, command, note: () => {}, ...(only && { only }) });
}

/** For each phase, the phases that are running when it starts, itself included. */
function together(): Record<string, string[]> {
  const under = new Set<string>();
  const seen: Record<string, string[]> = {};
  for (const line of readFileSync(join(runDir, 'order'), 'utf8').trim().split('\n')) {
    const [what, phase] = line.split(' ');
    if (what === 'end') under.delete(phase);
    else {
      under.add(phase);
      seen[phase] = [...under];
    }
  }
  return seen;
}

test('auto: each phase after those that it starts from; only modules run in parallel', async () => {
  expect([...(await run('auto'))].sort()).toEqual(['E2E', 'FT', 'MT/0', 'MT/1', 'MT/2', 'PT']);
  const order = Object.keys(together());
  expect(order[0]).toBe('PT');
  expect(order.slice(1, 4).sort()).toEqual(['MT/0', 'MT/1', 'MT/2']);
  expect(order.slice(4)).toEqual(['FT', 'E2E']);
  for (const phase of ['PT', 'FT', 'E2E']) expect(together()[phase]).toEqual([phase]);
  expect(await run('auto')).toEqual([]);
});

test('a number: that many phases at a time, the baseline from the start', async () => {
  // PT ends only beside the baseline, and the baseline only beside FT.
  process.env.MEET = JSON.stringify({ PT: 'E2E', E2E: 'FT' });
  await run(2);
  const { PT, E2E, ...others } = together();
  expect([PT, E2E].map((phases) => phases.length).sort()).toEqual([1, 2]);
  expect(new Set([...PT, ...E2E])).toEqual(new Set(['PT', 'E2E']));
  expect(others).toEqual(
    Object.fromEntries(['MT/0', 'MT/1', 'MT/2', 'FT'].map((phase) => [phase, ['E2E', phase]])),
  );
});

test('only: some phases, and not without those that they start from', async () => {
  await expect(run('auto', ['FT'])).rejects.toThrow(InputError);
  await expect(run('auto', ['FT'])).rejects.toThrow(/FT starts from MT\/0, MT\/1, MT\/2, which is not done/);
  expect(await run('auto', ['PT', 'MT/1'])).toEqual(['PT', 'MT/1']);
});

test('only: the hint is a command that lists all that is missing, and runs', async () => {
  const hintOf = async (...only: PhaseName[]) =>
    String(((await run('auto', only).catch((error: unknown) => error as InputError)) as InputError).hint);
  const command = (only: string) =>
    `add the missing phases: npx deep-incubation run ${runDir} --only ${only}`;
  expect(await hintOf('FT')).toBe(command('PT,MT/0,MT/1,MT/2,FT'));
  expect(await hintOf('MT/0', 'MT/1', 'MT/2')).toBe(command('PT,MT/0,MT/1,MT/2'));
  expect(await run('auto', ['PT', 'MT/1'])).toEqual(['PT', 'MT/1']);
  const rest = await hintOf('FT');
  expect(rest).toBe(command('MT/0,MT/2,FT'));
  expect(await run('auto', rest.split(' ').at(-1)?.split(',') as PhaseName[])).toContain('FT');
});

test('a failed phase ends the run with its own message', async () => {
  process.env.FAIL = 'MT/1';
  const failure = await run(1).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(RunError);
  expect(String((failure as RunError).message)).toBe('MT/1: the loss is NaN');
  expect((failure as RunError).hint).toBe('lower it');
  expect(Object.keys(together())).toEqual(['PT', 'MT/0', 'MT/1']);
});

test('a result that disappears while others need it: a clear error, not an endless wait', async () => {
  process.env.SPOIL = 'MT/0';
  const failure = run(1, ['PT', 'MT/0', 'MT/1']);
  await expect(failure).rejects.toThrow(InputError);
  await expect(failure).rejects.toThrow('MT/1 starts from PT, which is not done');
});

test.each(['PT', 'MT/1', 'E2E'])(
  'a run folder that is gone once %s has ended is named, and does not come back',
  async (phase) => {
    process.env.GONE = phase;
    const failure = await run(1).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RunError);
    expect(String((failure as RunError).message)).toMatch(new RegExp(`${runDir}.* no longer exists`));
    expect((failure as RunError).hint).toContain('may have been deleted');
    expect(existsSync(runDir)).toBe(false);
  },
);
