import { copyFileSync, cpSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';
import { childrenOf, isAlive } from './processes.js';

// Images that change while a run is under way: refused with what differs, or accepted and recorded.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const recipe = at('recipe.json');
const ACCEPT = '--accept-data-change';

beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 5 });
  writeRecipe(recipe, 2);
  const trained = await cli(['run', recipe, '--out', at('pt'), '--only', 'PT', '--quiet']);
  expect(trained.code, trained.stderr).toBe(0);
});

function writeRecipe(path: string, epochs: number): void {
  const phases = { PT: { epochs, checkpoint_every: 0.01, eval_every: 100 } };
  writeFileSync(path, JSON.stringify({ ...tinyRecipe(at('images')), phases }));
}

/** A copy of a run, and of the images that it reads. */
function copied(name: string, from = 'pt') {
  const [run, images] = [at(name), at(`${name}-images`)];
  if (existsSync(at(from))) cpSync(at(from), run, { recursive: true });
  cpSync(at('images'), images, { recursive: true });
  return { run, images, moved: ['--set', `data.path=${images}`] };
}

function rename(images: string): void {
  for (const split of ['train', 'val'])
    renameSync(join(images, split, 'bright'), join(images, split, 'zebra'));
}

function addSeven(images: string): void {
  for (let i = 0; i < 7; i++)
    copyFileSync(join(images, 'train/dark/0.png'), join(images, `train/dark/new${i}.png`));
}

interface Recorded {
  readonly classes: string[];
  readonly changes: { of: string; changes: string[]; before: string; after: string }[];
}
const recorded = (run: string): Recorded => JSON.parse(readFileSync(join(run, 'data.json'), 'utf8'));
const log = (run: string, phase: string) => readFileSync(join(run, phase, 'log.txt'), 'utf8');

async function refused(args: string[], ...what: string[]): Promise<void> {
  const { code, stderr } = await cli(args);
  expect(code, stderr).toBe(2);
  for (const each of what) expect(stderr).toContain(each);
  expect(stderr).toContain(ACCEPT);
}

async function succeeds(args: string[]) {
  const ended = await cli(args);
  expect(ended.code, ended.stderr).toBe(0);
  return ended;
}

const RENAMED = 'the class "bright" is now "zebra"';
const MORE = 'train: 39 images instead of 32; 7 more: dark/new0.png';

test.each([
  ['run', (run: string, moved: string[]) => ['run', run, ...moved]],
  ['run --only', (run: string, moved: string[]) => ['run', run, '--only', 'MT/0', ...moved]],
  ['phase', (run: string, moved: string[]) => ['phase', recipe, 'MT/0', '--out', run, ...moved]],
] as const)('%s: a class renamed between PT and MT', async (name, command) => {
  const { run, images, moved } = copied(`renamed ${name}`);
  rename(images);
  const before = recorded(run);
  await refused(command(run, moved), RENAMED, 'labels, in class order: "dark" 0 instead of 1');
  expect(existsSync(join(run, 'MT/0/checkpoints'))).toBe(false);
  expect(recorded(run)).toEqual(before);

  const { stderr } = await succeeds([...command(run, moved), ACCEPT]);
  expect(stderr).toContain(`accepted: ${RENAMED}`);
  // Each class keeps its label.
  expect(recorded(run)).toMatchObject({
    classes: ['zebra', 'dark'],
    changes: [{ of: 'run', changes: [RENAMED, '"zebra" has label 0'] }],
  });
  expect(log(run, 'MT/0')).toContain(RENAMED);
  expect(log(run, 'PT')).not.toContain(RENAMED);
  // Accepted images are the images of the run: they need not be accepted again.
  await succeeds(command(run, moved));
});

test('seven images added between PT and MT', async () => {
  const { run, images, moved } = copied('added');
  addSeven(images);
  await refused(['run', run, ...moved], MORE);
  await succeeds(['run', run, ...moved, ACCEPT, '--quiet']);
  for (const phase of ['MT/0', 'MT/1', 'FT']) expect(log(run, phase)).toContain(MORE);
  expect(recorded(run).changes).toMatchObject([{ of: 'run', changes: [expect.stringContaining(MORE)] }]);
});

test('seven images added during a phase, after a kill', async () => {
  const { run, images, moved } = copied('killed', 'not there');
  const long = at('long.json');
  writeRecipe(long, 30);
  const command = ['run', long, '--out', run, '--only', 'PT', ...moved];
  const steps = () => jsonLines(join(run, 'PT/metrics.jsonl')).filter(({ kind }) => kind === 'step');
  const killed = start(command);
  await until(() => steps().length >= 20, 'step 20');
  const [worker] = childrenOf(killed.process.pid as number);
  killed.process.kill('SIGKILL');
  process.kill(worker, 'SIGKILL');
  await killed.ended;
  await until(() => !isAlive(worker), 'the end of the process');

  addSeven(images);
  await refused(command, MORE);
  await refused(['run', run, '--only', 'PT'], MORE);
  await succeeds([...command, ACCEPT]);
  // 32 images, 8 per step, 30 epochs: as planned at the start.
  expect(steps().map(({ step }) => step)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
  expect(steps().at(-1)).toMatchObject({ epoch: 29 });
  expect(log(run, 'PT')).toContain(MORE);
  expect(log(run, 'PT')).toContain('the schedule keeps its 120 steps, 4 an epoch, of 32 training images');
  expect(recorded(run).changes).toMatchObject([{ of: 'run', changes: [expect.stringContaining(MORE)] }]);
});

test('redo refuses changed images before anything is moved; with the flag it records them', async () => {
  const { run, images, moved } = copied('redone');
  await succeeds(['run', run, ...moved, '--quiet']);
  addSeven(images);
  for (const phase of ['FT', 'MT/1']) {
    await refused(['redo', run, phase, '--quiet'], MORE);
    expect(existsSync(join(run, 'previous'))).toBe(false);
  }
  await succeeds(['redo', run, 'MT/1', ACCEPT, '--quiet']);
  expect(existsSync(join(run, 'previous/1/MT/1/result.json'))).toBe(true);
  for (const phase of ['MT/1', 'FT']) expect(log(run, phase)).toContain(MORE);
  expect(log(run, 'MT/0')).not.toContain(MORE);
  expect(recorded(run).changes).toMatchObject([{ of: 'run' }]);

  // Nothing that was trained on the old images remains.
  rename(images);
  await succeeds(['redo', run, 'PT', '--quiet']);
  expect(recorded(run).classes).toEqual(['dark', 'zebra']);
});

test('a retrained module learns from the changed images', async () => {
  const { run, images, moved } = copied('own');
  await succeeds(['run', run, ...moved, '--quiet']);
  const more = at('own-more');
  cpSync(images, more, { recursive: true });
  const own = ['--set', `phases.modules.1.data.path=${more}`, '--quiet'];
  await succeeds(['redo', run, 'MT/1', ...own]);
  addSeven(more);
  await refused(['redo', run, 'FT', '--quiet'], 'MT/1', MORE);
  // It is the only phase that was trained on them.
  await succeeds(['redo', run, 'MT/1', '--quiet']);
  expect(recorded(run)).toMatchObject({ modules: { 1: { train: { images: 39 } } }, train: { images: 32 } });
});

test('a launcher passes the flag on', async () => {
  const { run, moved } = copied('launched');
  const volume = ['--set', `run.kubernetes.mount=${folder}`];
  for (const [launcher, pattern] of [
    ['slurm', /^ {2}srun .* phase --force --accept-data-change "\$run" "\$phase"/gm],
    ['kubernetes', /exec deep-incubation phase \S+ "\$phase" --out "\$RUN" --force --accept-data-change/g],
  ] as const) {
    const command = ['run', run, '--launcher', launcher, '--dry-run', ...moved, ...volume];
    expect((await succeeds(command)).stdout).not.toContain(ACCEPT);
    const { stdout } = await succeeds([...command, '--force', ACCEPT]);
    // MT as an array, and FT.
    expect(stdout.replaceAll(/\n\s+(?=\S+ "\$phase")/g, ' ').match(pattern)).toHaveLength(2);
  }
});

test('work and modules with other images', async () => {
  const { run: home } = copied('home');
  const { images, moved } = copied('there', 'not there');
  const [work, module, there] = [at('work.tar'), at('module.tar'), at('there-run')];
  addSeven(images);
  await succeeds(['pack', home, work, '--for', 'MT/1']);
  await succeeds(['unpack', work, '--into', there]);
  const incubate = [
    'run',
    there,
    '--only',
    'MT/1',
    ...moved,
    '--set',
    'run.device=cpu',
    '--set',
    'run.threads=1',
  ];
  await refused(incubate, 'train: 39 images instead of 32');
  await succeeds([...incubate, ACCEPT]);
  expect(recorded(there).changes).toMatchObject([{ of: 'run' }]);
  await succeeds(['pack', join(there, 'MT/1'), module]);

  await refused(['unpack', module, '--into', home], 'MT/1 was trained on other images (39, ');
  expect(existsSync(join(home, 'MT/1'))).toBe(false);
  const { stderr } = await succeeds(['unpack', module, '--into', home, ACCEPT]);
  expect(stderr).toContain('accepted: MT/1 was trained on other images (39, ');
  expect(recorded(home).changes).toMatchObject([
    { of: 'MT/1', changes: [expect.stringContaining('MT/1 was trained on other images')] },
  ]);
  await succeeds(['run', home, '--quiet']);
});
