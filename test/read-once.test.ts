import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { freePort } from '../src/launch/processes/ranks.js';
import { newestStep } from '../src/run/checkpoint-store.js';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';

// On each machine, only one process reads a checkpoint, once, and verifies it at the same time.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const recipe = at('recipe.json');
/** A run whose PT was interrupted half-way, with averages. */
const halfway = at('halfway');
/** A run in which only FT is missing. */
const modules = at('modules');

beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 5 });
  const tiny = tinyRecipe(at('images')) as { training: object };
  const training = { ...tiny.training, batch_size: 4, total_batch: 16, ema: 0.9 };
  const phases = { PT: { epochs: 200, eval_every: 300 } };
  writeFileSync(recipe, JSON.stringify({ ...tiny, training, phases }));
  const long = start(['run', recipe, '--out', halfway, '--only', 'PT']);
  await until(() => jsonLines(join(halfway, 'PT/metrics.jsonl')).length > 10, 'training');
  long.process.kill('SIGINT');
  expect(await long.ended).toMatchObject({ code: 130 });
  const short = ['--set', 'phases.PT.epochs=2', '--only', 'PT,MT', '--quiet'];
  expect(await cli(['run', recipe, '--out', modules, ...short])).toMatchObject({ code: 0 });
});

interface Counted {
  readonly env: NodeJS.ProcessEnv;
  /** Bytes read of a file, by all processes. */
  readonly read: (path: string) => number;
}

function counting(name: string): Counted {
  const counts = at(`${name}-reads`);
  mkdirSync(counts);
  const preload = fileURLToPath(new URL('fixtures/count-reads.mjs', import.meta.url));
  return {
    env: { NODE_OPTIONS: `--import ${preload}`, COUNTED_READS: counts },
    read: (path) =>
      readdirSync(counts)
        .flatMap((file) => JSON.parse(readFileSync(join(counts, file), 'utf8')) as [string, number][])
        .reduce((sum, [file, bytes]) => sum + (file === path ? bytes : 0), 0),
  };
}

/** How many times a file was read: bytes read divided by its size. */
function times({ read }: Counted, path: string, size = statSync(path).size): number {
  return read(path) / size;
}

test.each([1, 2])('a phase that is resumed by %i processes', async (ranks) => {
  const run = at(`resumed-${ranks}`);
  cpSync(halfway, run, { recursive: true });
  const step = newestStep(join(run, 'PT'));
  expect(step).toBeGreaterThan(5);
  const files = ['model.safetensors', 'optimizer.safetensors'].map((name) =>
    join(run, 'PT/checkpoints', String(step), name),
  );
  const sizes = files.map((file) => statSync(file).size);
  const counted = counting(`resumed-${ranks}`);
  const fewer = ['--set', `phases.PT.epochs=${Math.ceil(step / 2) + 2}`, '--only', 'PT'];
  const { code, stderr } = await cli(['run', run, ...fewer, '--set', `run.ranks=${ranks}`], counted);
  expect(code, stderr).toBe(0);
  const log = readFileSync(join(run, 'PT/log.txt'), 'utf8');
  expect(log).toContain(`resumes from step ${step}`);
  for (const [i, file] of files.entries()) {
    expect(times(counted, file, sizes[i]), file).toBeGreaterThanOrEqual(1);
    expect(times(counted, file, sizes[i]), file).toBeLessThan(1.1);
  }
});

/** Trains a phase in `size` processes. */
async function trained(run: string, phase: string, size: number, { env }: Counted) {
  const common = { MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(await freePort()), WORLD_SIZE: '2' };
  return Promise.all(
    Array.from({ length: size }, (_, rank) => {
      const launched = { ...common, RANK: String(rank), LOCAL_RANK: String(rank) };
      return cli(['phase', run, phase], { env: { ...env, ...(size > 1 && launched) } });
    }),
  );
}

test.each([1, 2])('weights that a phase of %i processes starts from', async (size) => {
  const run = at(`assembled-${size}`);
  cpSync(modules, run, { recursive: true });
  const counted = counting(`assembled-${size}`);
  for (const { code, stderr } of await trained(run, 'FT', size, counted)) expect(code, stderr).toBe(0);
  for (const source of ['PT', 'MT/0', 'MT/1']) {
    const file = join(run, source, 'checkpoints', String(newestStep(join(run, source))), 'model.safetensors');
    expect(times(counted, file), file).toBeGreaterThanOrEqual(1);
    expect(times(counted, file), file).toBeLessThan(1.1);
  }
});

interface Learner {
  readonly name: string;
  readonly phase: string;
  /** Changes of the recipe for a phase that has not begun. `from`: the phase's folder that it learns from. */
  readonly phases: (from: string) => object;
  /** The phase's folder that it learns from. */
  readonly from: (run: string) => string;
}

const learners: readonly Learner[] = [
  {
    name: 'a teacher',
    phase: 'FT',
    phases: (teacher) => ({ FT: { epochs: 1, distill: { teacher, normalise: 'own' } } }),
    from: () => join(modules, 'PT'),
  },
  {
    name: 'the meta model that a module imitates',
    phase: 'MT/1',
    phases: () => ({ MT: { epochs: 1, objective: 'imitate' } }),
    from: (run) => join(run, 'PT'),
  },
];

test.each(learners.flatMap((learner) => [1, 2].map((size) => ({ ...learner, size }))))(
  '$name, read for $size processes',
  async ({ phase, phases, from, size }) => {
    const run = at(`${phase.replace('/', '-')}-learns-${size}`);
    cpSync(modules, run, { recursive: true });
    rmSync(join(run, phase), { recursive: true, force: true });
    const path = join(run, 'recipe.json');
    const folder = from(run);
    const checkpoint = join(folder, 'checkpoints', String(newestStep(folder)));
    const written = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...written, phases: { ...written.phases, ...phases(folder) } }));
    const counted = counting(`${phase.replace('/', '-')}-learns-${size}`);
    for (const { code, stderr } of await trained(run, phase, size, counted)) expect(code, stderr).toBe(0);
    const file = join(checkpoint, 'model.safetensors');
    expect(times(counted, file)).toBeGreaterThanOrEqual(1);
    expect(times(counted, file)).toBeLessThan(1.1);
  },
);

test('a damaged checkpoint is skipped by all processes', async () => {
  const run = at('damaged');
  cpSync(halfway, run, { recursive: true });
  const step = newestStep(join(run, 'PT'));
  const file = join(run, 'PT/checkpoints', String(step), 'optimizer.safetensors');
  const bytes = readFileSync(file);
  bytes[bytes.length - 5] ^= 0x10;
  writeFileSync(file, bytes);
  const more = [
    '--set',
    `phases.PT.epochs=${Math.ceil(step / 2) + 2}`,
    '--only',
    'PT',
    '--set',
    'run.ranks=2',
  ];
  const ended = await cli(['run', run, ...more]);
  expect(ended.code, ended.stderr).toBe(0);
  expect(readFileSync(join(run, 'PT/log.txt'), 'utf8')).toContain(
    'optimizer.safetensors differs from manifest.json',
  );
});
