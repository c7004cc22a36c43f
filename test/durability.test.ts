import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { cli, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';
import { type Call, StrictFileSystem } from './strict-file-system.js';

// Replays the file calls of whole commands on a file system that loses everything that was not synced. The files that a
// pointer `latest` or a result.json refers to must exist after a power loss at any later moment.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const disk = at('disk');
const calls = at('calls.jsonl');
const RECORDER = pathToFileURL(fileURLToPath(new URL('fixtures/record-files.mjs', import.meta.url))).href;

beforeAll(async () => {
  mkdirSync(disk);
  await writeImages(at('images'), { train: 16, val: 2 });
  const tiny = tinyRecipe(at('images')) as { training: object };
  const training = { ...tiny.training, epochs: 1, eval_every: 1, keep_checkpoints: 1 };
  writeFileSync(at('recipe.json'), JSON.stringify({ ...tiny, training, phases: { PT: { epochs: 2 } } }));
}, 60_000);

/** Runs a command and returns its calls. */
async function recorded(...args: string[]): Promise<Call[]> {
  writeFileSync(calls, '');
  const env = { RECORD_FILES: calls, RECORD_BELOW: disk, NODE_OPTIONS: `--import=${RECORDER}` };
  const { code, stderr } = await cli(args, { env });
  expect(code, stderr).toBe(0);
  return readFileSync(calls, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const before: Call[] = [];

/** Replays all earlier commands and then `now`, and runs a check after each of its calls. */
function replay(now: readonly Call[], ask: (system: StrictFileSystem, call: Call) => void): StrictFileSystem {
  const system = new StrictFileSystem(disk);
  for (const call of before) system.apply(call);
  for (const call of now) {
    system.apply(call);
    ask(system, call);
  }
  before.push(...now);
  return system;
}

const FILES = ['manifest.json', 'model.safetensors', 'optimizer.safetensors'];

/** The checkpoints of a phase that are complete after a power loss. */
function wholeSteps(system: StrictFileSystem, phase: string): number[] {
  const checkpoints = join(phase, 'checkpoints');
  const steps = system.survivors(checkpoints).filter((name) => /^\d+$/.test(name));
  for (const step of steps) {
    for (const file of FILES) {
      expect(system.survives(join(checkpoints, step, file)), `${checkpoints}/${step}/${file}`).toBe(true);
    }
  }
  return steps.map(Number);
}

test('run: after its first checkpoint a phase always has one, and after its result the last', async () => {
  const run = join(disk, 'deep', 'run');
  const now = await recorded('run', at('recipe.json'), '--out', run, '--quiet');
  const phases = ['PT', 'MT/0', 'MT/1', 'FT'].map((phase) => join(run, phase));
  const claimed = new Set<string>();
  const system = replay(now, (each, [op, path, onto]) => {
    // The pointer has been renamed and its folder synced: the checkpoint counts as saved.
    for (const phase of phases) {
      const last = claimed.has(`${phase} latest`);
      if (last) expect(wholeSteps(each, phase).length, `${phase} after ${op} ${path}`).toBeGreaterThan(0);
      if (claimed.has(`${phase} result`)) {
        expect(each.survives(join(phase, 'result.json'))).toBe(true);
        expect(each.survives(join(phase, 'metrics.jsonl'))).toBe(true);
        expect(each.survives(join(run, 'recipe.json'))).toBe(true);
      }
      if (op === 'sync' && path === join(phase, 'checkpoints') && isPointed(phase))
        claimed.add(`${phase} latest`);
      if (op === 'sync' && path === phase && pointed.has(join(phase, 'result.json')))
        claimed.add(`${phase} result`);
    }
    if (op === 'rename') pointed.add(onto as string);
  });
  expect(claimed.size).toBe(8);
  expect(phases.map((phase) => Math.max(...wholeSteps(system, phase)))).toEqual([8, 4, 4, 4]);
  for (const file of ['summary.json', 'report/index.html'])
    expect(system.survives(join(run, file))).toBe(true);
}, 120_000);

const pointed = new Set<string>();
const isPointed = (phase: string) => pointed.has(join(phase, 'checkpoints/latest'));

test('redo: at every moment each moved phase is in its old or its new folder', async () => {
  const run = join(disk, 'deep', 'run');
  const now = await recorded('redo', run, 'MT/1', '--quiet');
  const system = replay(now, (each) => {
    for (const [phase, steps] of [
      ['MT/1', 4],
      ['FT', 4],
    ] as const) {
      const places = [run, join(run, 'previous', '1')].map((root) => wholeSteps(each, join(root, phase)));
      expect(places.flat()).toContain(steps);
    }
  });
  expect(system.survives(join(run, 'previous/1/FT/result.json'))).toBe(true);
}, 120_000);

test('unpack: when the command has ended, the module or the work is on the disk with all its folders', async () => {
  const run = join(disk, 'deep', 'run');
  const work = join(disk, 'bundles', 'work.tar');
  replay(await recorded('pack', run, work, '--for', 'MT/0'), () => {});
  const there = join(disk, 'far', 'there');
  const unpacked = replay(await recorded('unpack', work, '--into', there), () => {});
  expect(wholeSteps(unpacked, join(there, 'PT'))).toEqual([8]);
  for (const file of ['recipe.json', 'PT/result.json'])
    expect(unpacked.survives(join(there, file))).toBe(true);

  const module = join(disk, 'bundles', 'module.tar');
  replay(await recorded('pack', join(run, 'MT/0'), module), () => {});
  const system = replay(await recorded('unpack', module, '--into', there), () => {});
  expect(wholeSteps(system, join(there, 'MT/0'))).toEqual([4]);
  expect(system.survives(join(there, 'MT/0/result.json'))).toBe(true);
}, 120_000);

test('the simulated file system loses data that was not synced', () => {
  const system = new StrictFileSystem('/top');
  system.apply(['mkdir', '/top/a']);
  system.apply(['create', '/top/a/file']);
  system.apply(['sync', '/top/a/file']);
  system.apply(['sync', '/top/a']);
  expect(system.survives('/top/a/file')).toBe(false);
  system.apply(['sync', '/top']);
  expect(system.survives('/top/a/file')).toBe(true);
  system.apply(['write', '/top/a/file']);
  expect(system.survives('/top/a/file')).toBe(false);
  system.apply(['sync', '/top/a/file']);
  system.apply(['rename', '/top/a/file', '/top/a/other']);
  expect([system.survives('/top/a/file'), system.survives('/top/a/other')]).toEqual([true, false]);
});
