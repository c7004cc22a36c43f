/**
 * Compares reading the weights of a large .pth with copying the file, and the memory needed with the size of the weights.
 *
 *   npm run bench -- weights [--blocks 32] [--rounds 5] [--optimizer] [--folder DIR]
 *
 * Writes a checkpoint like the official code's for a ViT-H (2.5 GB; with `--optimizer`, also all AdamW moments: 7.6 GB) to a
 * temporary folder, and deletes it. Copying and reading take turns, with the file in the page cache.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median } from './step/measure.js';
import { writeVitHuge } from './weights/vit-huge.js';

interface Reading {
  readonly seconds: number;
  /** Size of the weights in memory. */
  readonly bytes: number;
  /** Peak resident memory of the process, in bytes. */
  readonly peak: number;
}

const { values: flags } = parseArgs({
  options: {
    blocks: { type: 'string', default: '32' },
    rounds: { type: 'string', default: '5' },
    optimizer: { type: 'boolean', default: false },
    folder: { type: 'string', default: tmpdir() },
  },
});

const folder = mkdtempSync(join(flags.folder, 'bench-weights-'));
try {
  const [file, copy] = ['vit-huge.pth', 'copy.pth'].map((name) => join(folder, name));
  const weights = writeVitHuge(file, Number(flags.blocks), flags.optimizer ? 'all' : 'vectors');
  const copies: number[] = [];
  const readings: Reading[] = [];
  read(file);
  for (let round = 0; round < Number(flags.rounds); round++) {
    const start = performance.now();
    copyFileSync(file, copy);
    copies.push((performance.now() - start) / 1000);
    rmSync(copy);
    readings.push(read(file));
  }
  report(statSync(file).size, weights, copies, readings);
} finally {
  rmSync(folder, { recursive: true });
}

function read(path: string): Reading {
  const program = fileURLToPath(new URL('weights/read.js', import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [program, path], { encoding: 'utf8' }));
}

function report(
  size: number,
  weights: number,
  copies: readonly number[],
  readings: readonly Reading[],
): void {
  const seconds = readings.map((each) => each.seconds);
  const peak = Math.max(...readings.map((each) => each.peak));
  const held = readings[0].bytes;
  const ratios = seconds.map((each, round) => each / copies[round]);
  const range = `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`;
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(3)} GB`;
  const rows = [
    ['', '', 'ratio'],
    ['the file', gb(size), ''],
    ['its weights', gb(weights), ''],
    ['memory that holds them', gb(held), (held / weights).toFixed(3)],
    ['peak memory of the process', gb(peak), (peak / weights).toFixed(3)],
    ['copying the file', `${median(copies).toFixed(2)} s`, ''],
    ['reading the weights', `${median(seconds).toFixed(2)} s`, `${median(ratios).toFixed(2)} (${range})`],
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`);
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  process.stdout.write(`${[lines[0], rule, ...lines.slice(1)].join('\n')}\n`);
}
