import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeMlflow, startFakeMlflow } from '../../../test/fake-mlflow.js';
import { FULL_RUN, syntheticRecords, writeSyntheticRun } from '../../../test/synthetic-run.js';
import { InputError, RunError } from '../../base/errors.js';
import { mlflowTracker } from './mlflow.js';
import { openUpload } from './upload.js';

const PHASES = FULL_RUN.filter(({ phase }) => ['PT', 'MT/0', 'FT'].includes(phase));
const RECIPE = { name: 'flowers', seed: 3, training: { lr: 0.1, betas: [0.9, 0.999], ema: null } };
const never = new AbortController().signal;

let runDir: string;
let server: FakeMlflow;
let notes: string[];
beforeEach(async () => {
  runDir = join(mkdtempSync(join(tmpdir(), 'trackers-')), 'run');
  server = await startFakeMlflow();
  notes = [];
});
afterEach(() => {
  server.close();
  rmSync(join(runDir, '..'), { recursive: true, force: true });
});

const tracker = (env = {}) => mlflowTracker(server.address, 'exp', env);
const open = () => openUpload(runDir, tracker(), (line) => notes.push(line));
async function passOnce(state: 'running' | 'done' = 'done'): Promise<number> {
  const upload = await open();
  try {
    await upload.pass(state, never);
    return upload.unsent();
  } finally {
    upload.release();
  }
}
const onlyRun = () => {
  expect(server.runs.size).toBe(1);
  return [...server.runs.values()][0];
};

/** What the records of a file are in MLflow, computed from its lines. */
function expectedOf(phase: string): string[] {
  const lines = readFileSync(join(runDir, phase, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return lines.flatMap((line) => {
    const { kind, step, steps: _, time, ...rest } = JSON.parse(line);
    const numbers = Object.entries(rest).filter(([, value]) => typeof value === 'number');
    const part = kind === 'eval' ? 'eval' : 'train';
    return numbers.map(([name, value]) => `${phase}/${part}/${name} ${step} ${value}`);
  });
}
const foundIn = (metrics: { key: string; step: number; value: number }[]) =>
  metrics.map(({ key, step, value }) => `${key} ${step} ${value}`).sort();

/** A phase that has not ended, with a checkpoint of this step. */
function unfinished(phase: string, step: number, count: number, salt = 0): void {
  const records = syntheticRecords({ phase, epochs: 4, top1: [10, 60], passes: 12 }).slice(0, count);
  mkdirSync(join(runDir, phase, 'checkpoints', String(step)), { recursive: true });
  const lines = records.map(
    (record) => `${JSON.stringify({ ...record, time: 1.7e12 + salt + record.step })}\n`,
  );
  writeFileSync(join(runDir, phase, 'metrics.jsonl'), lines.join(''));
}

test('a finished run reads back as its metrics.jsonl, with its recipe, tags and state', async () => {
  writeSyntheticRun(runDir, PHASES, RECIPE);
  expect(await passOnce()).toBe(0);
  const run = onlyRun();
  expect(run).toMatchObject({ name: 'run', experiment: 'exp', status: 'FINISHED' });
  expect(foundIn(run.metrics)).toEqual(PHASES.flatMap(({ phase }) => expectedOf(phase)).sort());
  expect(Object.fromEntries(run.params)).toEqual({
    name: 'flowers',
    seed: '3',
    'training.lr': '0.1',
    'training.betas': '[0.9,0.999]',
  });
  expect(Object.fromEntries(run.tags)).toMatchObject({
    program: 'deep-incubation',
    recipe: 'flowers',
    seed: '3',
  });
  const sent = server.requests.length;
  expect(await passOnce()).toBe(0);
  expect(server.requests.slice(sent).map(({ path }) => path)).toEqual(['runs/update']);
});

test('records after the newest checkpoint wait: a resume repeats their steps', async () => {
  writeSyntheticRun(runDir, [], RECIPE);
  unfinished('PT', 40, 30);
  await passOnce('running');
  const run = onlyRun();
  expect(run.status).toBe('RUNNING');
  expect(Math.max(...run.metrics.map(({ step }) => step))).toBe(40);
  expect(run.metrics.find(({ step }) => step === 40)?.timestamp).toBe(1.7e12 + 40);
  unfinished('PT', 80, 30);
  await passOnce('running');
  const keys = onlyRun().metrics.map(({ key, step }) => `${key} ${step}`);
  expect(new Set(keys).size).toBe(keys.length);
  expect(Math.max(...onlyRun().metrics.map(({ step }) => step))).toBe(80);
});

test('a phase that is trained again gets a new run, and says so', async () => {
  writeSyntheticRun(runDir, PHASES, RECIPE);
  await passOnce();
  unfinished('PT', 60, 20, 5);
  rmSync(join(runDir, 'PT/result.json'));
  await passOnce('running');
  expect(notes).toEqual([`MLflow at ${server.address} gets a new run: PT was trained again`]);
  const [, second] = server.runs.values();
  const expected = [...expectedOf('MT/0'), ...expectedOf('FT')];
  expect(foundIn(second.metrics)).toEqual(expect.arrayContaining(expected));
  expect(server.runs.size).toBe(2);
});

test('a dead server loses nothing: the next pass sends everything once', async () => {
  writeSyntheticRun(runDir, PHASES, RECIPE);
  server.faults.status = 500;
  const upload = await open();
  await expect(upload.pass('running', never)).rejects.toThrow(`MLflow at ${server.address} answered: fault`);
  expect(upload.unsent()).toBe(PHASES.reduce((sum, each) => sum + syntheticRecords(each).length, 0));
  delete server.faults.status;
  await upload.pass('done', never);
  upload.release();
  expect(foundIn(onlyRun().metrics)).toEqual(PHASES.flatMap(({ phase }) => expectedOf(phase)).sort());
});

test('an answer that is lost does not make a second run, and a batch that is repeated is the same', async () => {
  writeSyntheticRun(runDir, PHASES, RECIPE);
  server.faults.losesAnswers = true;
  const upload = await open();
  for (let i = 0; i < 4; i++) await expect(upload.pass('running', never)).rejects.toThrow(RunError);
  server.faults.losesAnswers = false;
  await upload.pass('done', never);
  upload.release();
  const values = onlyRun().metrics.map((metric) => JSON.stringify(metric));
  // MLflow stores equal values once.
  expect([...new Set(values)].length).toBe(PHASES.flatMap(({ phase }) => expectedOf(phase)).length);
});

test('a changed setting is a tag, because MLflow does not change params', async () => {
  writeSyntheticRun(runDir, PHASES, RECIPE);
  await passOnce('running');
  writeFileSync(join(runDir, 'recipe.json'), JSON.stringify({ ...RECIPE, training: { lr: 0.2, epochs: 9 } }));
  await passOnce();
  const run = onlyRun();
  expect(run.params.get('training.lr')).toBe('0.1');
  expect(Object.fromEntries(run.tags)).toMatchObject({
    'recipe.training.lr': '0.2',
    'recipe.training.epochs': '9',
    'recipe.training.betas': 'null',
  });
});

test('another server gets a run of its own', async () => {
  writeSyntheticRun(runDir, PHASES, RECIPE);
  await passOnce();
  const upload = await openUpload(runDir, mlflowTracker(server.address, 'other', {}), (line) =>
    notes.push(line),
  );
  await upload.pass('done', never);
  upload.release();
  expect([...server.runs.values()].map(({ experiment }) => experiment)).toEqual(['exp', 'other']);
  expect(notes).toEqual([expect.stringContaining('gets a new run: the last one is in another place')]);
});

test('only one process sends', async () => {
  writeSyntheticRun(runDir, PHASES, RECIPE);
  const upload = await open();
  await expect(open()).rejects.toThrow(InputError);
  upload.release();
});

test('credentials come from the environment', async () => {
  const send = async (env: object) => {
    await mlflowTracker(server.address, 'exp', env).open(
      { id: 'a', name: 'a', started: 1.7e12, settings: {}, tags: {} },
      never,
    );
    return server.requests.at(-1)?.authorization;
  };
  expect(await send({ MLFLOW_TRACKING_TOKEN: 'word' })).toBe('Bearer word');
  const basic = { MLFLOW_TRACKING_USERNAME: 'ada', MLFLOW_TRACKING_PASSWORD: 'x:y' };
  expect(await send(basic)).toBe(`Basic ${btoa('ada:x:y')}`);
  expect(await send({})).toBeUndefined();
});

test('a long setting is truncated to the length that every MLflow stores', async () => {
  writeSyntheticRun(runDir, [{ ...PHASES[0] }], {
    name: 'a',
    list: Array.from({ length: 500 }, (_, i) => i),
  });
  await passOnce();
  expect(onlyRun().params.get('list')).toHaveLength(500);
});
