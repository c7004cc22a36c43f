import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';
import { type FakeMlflow, type FakeRun, startFakeMlflow } from './fake-mlflow.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const PHASES = ['PT', 'MT/0', 'MT/1', 'FT', 'E2E'];

let server: FakeMlflow;
beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 8 });
  server = await startFakeMlflow();
}, 120_000);
afterAll(() => server.close());

function writeRecipe(name: string, run: object, PT = { epochs: 8 }): string {
  const tiny = tinyRecipe(at('images')) as { run: object };
  const path = at(`${name}.json`);
  writeFileSync(path, JSON.stringify({ ...tiny, phases: { PT, E2E: {} }, run: { ...tiny.run, ...run } }));
  return path;
}

/** Every value of every record of a run, in MLflow's form. */
function expectedOf(run: string): string[] {
  return PHASES.flatMap((phase) =>
    jsonLines(join(run, phase, 'metrics.jsonl')).flatMap(
      ({ kind, step, steps, phase: _, time, ...values }) => {
        const part = kind === 'step' ? 'train' : 'eval';
        return Object.entries(values).map(
          ([name, value]) => `${phase}/${part}/${name} ${step} ${value} ${time}`,
        );
      },
    ),
  ).sort();
}
const foundIn = ({ metrics }: FakeRun) =>
  metrics.map(({ key, step, value, timestamp }) => `${key} ${step} ${value} ${timestamp}`).sort();
const runNamed = (name: string) => {
  const found = [...server.runs.values()].filter((run) => run.name === name);
  expect(found).toHaveLength(1);
  return found[0];
};

test('a run that is killed and resumed is one run in MLflow, with the records of metrics.jsonl, each once', async () => {
  const recipe = writeRecipe('tracked', { mlflow: { url: server.address } }, { epochs: 60 });
  const args = ['run', recipe, '--out', at('tracked'), '--set', 'training.checkpoint_every=0.05'];
  const { process: child, ended } = start(args);
  await until(() => jsonLines(at('tracked/PT/metrics.jsonl')).length > 30, 'training');
  child.kill('SIGKILL');
  await ended;
  const { code, stderr } = await cli(args);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const run = runNamed('tracked');
  expect(run).toMatchObject({ experiment: 'tiny', status: 'FINISHED' });
  expect(foundIn(run)).toEqual(expectedOf(at('tracked')));
  expect(run.params.get('phases.PT.epochs')).toBe('60');
  expect(stderr).not.toContain('MLflow');
}, 300_000);

test('a dead server does not stop a run; the loss is stated, and `track` sends it later', async () => {
  const closed = await startFakeMlflow();
  closed.close();
  const recipe = writeRecipe('dead', { mlflow: { url: closed.address, experiment: 'clothes' } });
  const { code, stderr } = await cli(['run', recipe, '--out', at('dead')]);
  expect(code).toBe(0);
  const count = PHASES.reduce((sum, phase) => sum + jsonLines(at(`dead/${phase}/metrics.jsonl`)).length, 0);
  expect(stderr).toContain(`MLflow at ${closed.address} does not answer (ECONNREFUSED)`);
  expect(stderr).toContain(`${count} records were not sent; to send them: npx deep-incubation track`);
  const unsent = await cli(['track', at('dead')]);
  expect(unsent).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('does not answer (ECONNREFUSED)'),
  });

  const args = ['track', at('dead'), '--mlflow', server.address, '--experiment', 'clothes', '--follow'];
  const sent = await cli(args);
  expect(sent).toMatchObject({
    code: 0,
    stdout: `MLflow at ${server.address} has ${count} records of ${at('dead')}\n`,
  });
  expect(runNamed('dead').experiment).toBe('clothes');
  expect(foundIn(runNamed('dead'))).toEqual(expectedOf(at('dead')));
}, 300_000);

test('a server that hangs delays only the end of a run', async () => {
  const hanging = await startFakeMlflow();
  hanging.faults.hangs = true;
  const recipe = writeRecipe('hung', { mlflow: { url: hanging.address } });
  const { code, stderr } = await cli(['run', recipe, '--out', at('hung')]);
  hanging.close();
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('no answer within 10 s') });
  expect(existsSync(at('hung/report/index.html'))).toBe(true);
}, 300_000);

test.each([
  ['no run', ['track', 'images', '--mlflow', 'http://localhost:5000'], 'is not a run folder'],
  ['no tracker', ['track', 'plain'], 'has neither run.mlflow nor run.trackio'],
  ['not an address', ['track', 'plain', '--mlflow', 'localhost'], '--mlflow: expected an address like http'],
  ['a password', ['track', 'plain', '--mlflow', 'http://a:b@c'], 'belong into environment variables'],
])(
  '%s: exit 2, no stack',
  async (_, [command, name, ...rest], message) => {
    if (!existsSync(at('plain'))) {
      const only = ['--only', 'PT', '--quiet'];
      await cli(['run', writeRecipe('plain', {}, { epochs: 1 }), '--out', at('plain'), ...only]);
    }
    const { code, stderr } = await cli([command, at(name), ...rest]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
    expect(stderr).not.toContain('    at ');
  },
  120_000,
);

test('a recipe with a password in an address is refused', async () => {
  const recipe = writeRecipe('secret', { mlflow: { url: 'http://a:b@localhost' } });
  const { code, stderr } = await cli(['run', recipe, '--out', at('secret')]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('run.mlflow.url') });
  expect(readFileSync(recipe, 'utf8')).toContain('a:b');
  expect(existsSync(at('secret/recipe.json'))).toBe(false);
});
