/**
 * Trains a large model for some steps with a checkpoint always being written and without any, and writes as many bytes to
 * the disk by themselves: what checkpoints cost a step, and how far from the disk's speed they are.
 *
 *   npm run bench -- checkpoint [--preset vit-large] [--steps 8] [--batch 2]
 *
 * Writes bench/results/checkpoint.md and .json.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
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
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import sharp from 'sharp';

// Compiled, this file lies in dist-bench/bench/, with dist beside it as src.
const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
const results = fileURLToPath(new URL('../../bench/results/', import.meta.url));

const { values: flags } = parseArgs({
  options: {
    preset: { type: 'string', default: 'vit-large' },
    steps: { type: 'string', default: '8' },
    batch: { type: 'string', default: '2' },
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
  /** Milliseconds of each step, the first left out. */
  readonly steps: readonly number[];
  readonly bytes: number;
}

function measure(name: string, every: number): Measured {
  const recipe = {
    name,
    model: { preset: flags.preset, classes: 2 },
    incubation: { modules: 4 },
    data: { format: 'folder', path: join(work, 'images') },
    training: { epochs: 1, batch_size: batch, log_every: 1, checkpoint_every: every, eval_every: 100 },
    phases: { E2E: { epochs: 1 } },
    run: { device: 'cpu' },
  };
  writeFileSync(join(work, `${name}.json`), JSON.stringify(recipe));
  const args = ['run', join(work, `${name}.json`), '--out', join(work, name), '--only', 'E2E', '--quiet'];
  const { status, stderr } = spawnSync(process.execPath, [main, ...args]);
  if (status !== 0) throw new Error(String(stderr));
  const records = readFileSync(join(work, name, 'E2E/metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; step: number; seconds: number })
    .filter(({ kind }) => kind === 'step');
  const times = records.map(({ seconds }) => 1000 * seconds);
  const durations = times.slice(1).map((time, i) => time - times[i]);
  const root = join(work, name, 'E2E/checkpoints');
  const folder = join(root, readFileSync(join(root, 'latest'), 'utf8').trim());
  const bytes = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  rmSync(join(work, name), { recursive: true });
  return { steps: durations, bytes };
}

/** Seconds to write so many bytes and have them on the disk, by themselves. */
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
  const written = measure('written', 30);
  const always = measure('always', 0.001);
  const raw = rawWrite(always.bytes);
  const row = (name: string, { steps: each }: Measured) =>
    `| ${name} | ${(median(each) / 1000).toFixed(2)} | ${(each.reduce((a, b) => a + b) / each.length / 1000).toFixed(2)} |`;
  const lines = [
    `${flags.preset}, ${steps} steps of ${batch} images, a checkpoint of ${(always.bytes / 1e9).toFixed(2)} GB; the disk alone takes ${raw.toFixed(1)} s for as many bytes.`,
    '',
    '| checkpoints | median step, s | mean step, s |',
    '|---|---|---|',
    row('none', without),
    row('every 30 s', written),
    row('one after another, always writing', always),
    '',
  ];
  console.log(lines.join('\n'));
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, 'checkpoint.md'), lines.join('\n'));
  writeFileSync(join(results, 'checkpoint.json'), JSON.stringify({ without, written, always, raw }, null, 2));
} finally {
  rmSync(work, { recursive: true, force: true });
}
