/**
 * Measures the cost of checkpoints. Trains a large model for some steps without checkpoints, with one at an interval, and with
 * one always being written; and writes the same number of bytes to the disk directly, to compare with the disk's speed. Finally,
 * measures how long a run takes to exit after SIGTERM.
 *
 *   npm run bench -- checkpoint [--preset vit-large] [--steps 16] [--batch 2] [--every 12]
 *
 * Writes bench/results/checkpoint.md and .json.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { writeResults } from './write-results.js';

// The compiled file is in dist-bench/bench/, and dist is next to it as src.
const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

const { values: flags } = parseArgs({
  options: {
    preset: { type: 'string', default: 'vit-large' },
    steps: { type: 'string', default: '16' },
    batch: { type: 'string', default: '2' },
    every: { type: 'string', default: '12' },
  },
});
const steps = Number(flags.steps);
const batch = Number(flags.batch);
const work = mkdtempSync(join(tmpdir(), 'checkpoint-bench-'));

async function writeImages(): Promise<void> {
  for (const [split, count] of [
    ['train', batch * steps],
    ['val', 1],
  ] as const) {
    for (const name of ['a', 'b']) {
      mkdirSync(join(work, 'images', split, name), { recursive: true });
      for (let i = 0; i < Math.ceil(count / 2); i++) {
        const image = sharp({ create: { width: 224, height: 224, channels: 3, background: '#888' } });
        await image.jpeg().toFile(join(work, 'images', split, name, `${i}.jpg`));
      }
    }
  }
}

interface Measured {
  /** Milliseconds of each step, without the first. */
  readonly steps: readonly number[];
  /** Size of one checkpoint. */
  readonly bytes: number;
  /** Number of checkpoints written before the last step. */
  readonly saved: number;
}

/**
 * Writes the recipe.
 * @returns the arguments of the run
 */
function prepare(name: string, every: number): string[] {
  const recipe = {
    name,
    model: { preset: flags.preset, classes: 2 },
    incubation: { modules: 4 },
    data: { format: 'folder', path: join(work, 'images') },
    training: {
      epochs: 1,
      batch_size: batch,
      log_every: 1,
      checkpoint_every: every,
      eval_every: 100,
      keep_checkpoints: 100,
    },
    phases: { E2E: { epochs: 1 } },
    run: { device: 'cpu' },
  };
  writeFileSync(join(work, `${name}.json`), JSON.stringify(recipe));
  return ['run', join(work, `${name}.json`), '--out', join(work, name), '--only', 'E2E', '--quiet'];
}

/** Training time in seconds at each step. */
function stepTimes(name: string): number[] {
  const path = join(work, name, 'E2E/metrics.jsonl');
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { kind: string; step: number; seconds: number })
    .filter(({ kind }) => kind === 'step')
    .map(({ seconds }) => seconds);
}

function measure(name: string, every: number): Measured {
  const { status, stderr } = spawnSync(process.execPath, [main, ...prepare(name, every)]);
  if (status !== 0) throw new Error(String(stderr));
  const times = stepTimes(name).map((seconds) => 1000 * seconds);
  const durations = times.slice(1).map((time, i) => time - times[i]);
  const root = join(work, name, 'E2E/checkpoints');
  const folder = join(root, readFileSync(join(root, 'latest'), 'utf8').trim());
  const bytes = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  const saved = readdirSync(root).filter((step) => /^\d+$/.test(step) && Number(step) < steps).length;
  rmSync(join(work, name), { recursive: true });
  return { steps: durations, bytes, saved };
}

/** Seconds from SIGTERM, in the middle of a step, until the run has written its checkpoint and exited. */
async function stop(): Promise<number> {
  const child = spawn(process.execPath, [main, ...prepare('stopped', 1e6)], { stdio: 'ignore' });
  while (stepTimes('stopped').length < 4) await sleep(50);
  const [, one, two] = stepTimes('stopped');
  await sleep(500 * (two - one));
  const started = performance.now();
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  const seconds = (performance.now() - started) / 1000;
  if (code !== 128 + 15) throw new Error(`the run that was stopped ended with ${code}`);
  readFileSync(join(work, 'stopped/E2E/checkpoints/latest'));
  return seconds;
}

/** Seconds to write this number of bytes to the disk, without training. */
function rawWrite(bytes: number): number {
  const chunk = Buffer.alloc(2 ** 20, 7);
  const path = join(work, 'raw');
  const started = performance.now();
  const file = openSync(path, 'w');
  for (let done = 0; done < bytes; done += chunk.length) writeSync(file, chunk);
  fsyncSync(file);
  closeSync(file);
  const seconds = (performance.now() - started) / 1000;
  rmSync(path);
  return seconds;
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

try {
  await writeImages();
  const without = measure('without', 1e6);
  const written = measure('written', Number(flags.every));
  const always = measure('always', 0.001);
  const raw = rawWrite(always.bytes);
  const stopSeconds = await stop();
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / 1000;
  const alone = sum(without.steps) / without.steps.length;
  const row = (name: string, { steps: each, saved }: Measured) => {
    const extra = sum(each) - alone * each.length;
    const cells = [median(each) / 1000, sum(each) / each.length, ...(saved > 0 ? [extra / saved] : [])];
    return `| ${name} | ${saved} | ${cells.map((cell) => cell.toFixed(2)).join(' | ')} |${saved > 0 ? '' : ' |'}`;
  };
  const lines = [
    `${flags.preset}, ${steps} steps of ${batch} images, a checkpoint of ${(always.bytes / 1e9).toFixed(2)} GB; the disk alone takes ${raw.toFixed(1)} s for as many bytes.`,
    '',
    '| checkpoints | written while training | median step, s | mean step, s | longer for each, s |',
    '|---|---|---|---|---|',
    row('none', without),
    row(`every ${flags.every} s`, written),
    row('always one', always),
    '',
    `After SIGTERM in the middle of a step the run has left in ${stopSeconds.toFixed(1)} s, with a checkpoint.`,
    '',
  ];
  console.log(lines.join('\n'));
  writeResults('checkpoint', lines.join('\n'), { without, written, always, raw, stopSeconds });
} finally {
  rmSync(work, { recursive: true, force: true });
}
