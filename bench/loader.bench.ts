/**
 * Compares our image loader with a PyTorch DataLoader with Pillow, in images per second on one core.
 *
 *   npm run bench -- loader [--images N] [--rounds N] [--core N] [--cpu]
 *
 * Photographs of about 500 x 375 pixels and 90 kB become batches of 224 x 224, with DeiT's training transform and with the
 * evaluation transform, whose batches must be identical byte for byte. The two sides take turns on one core. `--cpu` compares
 * processor time instead of elapsed time, for machines that are shared. Writes bench/results/loader.json and loader.md.
 */
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DeepIncubationError, RunError } from '../src/base/errors.js';
import { meanKilobytes, photos, pillowPython } from './loader/photos.js';
import { type Settings, type Timing, timed } from './loader/side.js';
import { median } from './step/measure.js';
import { writeResults } from './write-results.js';

// The compiled file is in dist-bench/bench/; the Python code is in bench/.
const benchFolder = fileURLToPath(new URL('../../bench/', import.meta.url));

const { values: flags } = parseArgs({
  options: {
    images: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '5' },
    core: { type: 'string', default: '0' },
    cpu: { type: 'boolean', default: false },
  },
});

interface Row {
  readonly transform: Settings['transform'];
  readonly result: 'uint8' | 'float32';
  readonly ours: readonly Timing[];
  readonly theirs: readonly Timing[];
}

function main(): void {
  const python = pillowPython(process.env);
  const folder = photos(python, join(benchFolder, 'pytorch/photos.py'), process.env);
  const ours = [process.execPath, fileURLToPath(new URL('loader/ours-worker.js', import.meta.url))];
  const theirs = [python, join(benchFolder, 'pytorch/loader.py')];
  const rows: Row[] = [];
  for (const transform of ['train', 'eval'] as const) {
    for (const result of ['uint8', 'float32'] as const) {
      process.stderr.write(`${transform}, PyTorch's batches in ${result}\n`);
      const settings = { folder, transform, images: Number(flags.images) };
      const rounds = Array.from({ length: Number(flags.rounds) }, () => ({
        ours: timed(flags.core, ours, settings),
        theirs: timed(flags.core, theirs, { ...settings, result }),
      }));
      const row = {
        transform,
        result,
        ours: rounds.map(({ ours }) => ours),
        theirs: rounds.map(({ theirs }) => theirs),
      };
      checkSame(row);
      rows.push(row);
    }
  }
  write(rows, meanKilobytes(folder));
}

function checkSame({ transform, result, ours, theirs }: Row): void {
  if (transform === 'train' || result === 'float32' || ours[0].digest === theirs[0].digest) return;
  throw new RunError("the first batch of evaluation is not Pillow's", {
    hint: 'the two do not do the same work: no time is compared',
  });
}

function write(rows: readonly Row[], kilobytes: number): void {
  const ms = (timing: Timing) => (flags.cpu ? timing.cpuMs : timing.ms) / timing.images;
  const second = (timings: readonly Timing[]) => (1e3 / median(timings.map(ms))).toFixed(0);
  const ratios = ({ ours, theirs }: Row) => ours.map((timing, round) => ms(theirs[round]) / ms(timing));
  const table = [
    '| transform | PyTorch gives | ours, images/s | PyTorch, images/s | ours / PyTorch   |',
    '|-----------|---------------|----------------|-------------------|------------------|',
    ...rows.map((row) => {
      const each = ratios(row);
      const range = `${Math.min(...each).toFixed(2)}-${Math.max(...each).toFixed(2)}`;
      const cells = [
        row.transform.padEnd(9),
        row.result.padEnd(13),
        second(row.ours).padEnd(14),
        second(row.theirs).padEnd(17),
        `${median(each).toFixed(2)} (${range})`.padEnd(16),
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  ].join('\n');
  const legend = [
    `Images a second${flags.cpu ? ' of processor time' : ''} on one core, medians of ${flags.rounds} rounds of ${flags.images}; median and range of the ratios.`,
    `JPEGs of about 500 x 375 pixels, ${kilobytes.toFixed(0)} kB on average, to batches of 224 x 224.`,
    'PyTorch: a DataLoader of one worker with Pillow; uint8: what ours gives, float32: normalised and erased, as DeiT.',
    `On ${cpus()[0].model}.`,
  ];
  writeResults('loader', `${table}\n\n${legend.join('\n')}\n`, { cpu: cpus()[0].model, kilobytes, rows });
  process.stdout.write(`${table}\n`);
}

try {
  main();
} catch (error) {
  if (!(error instanceof DeepIncubationError)) throw error;
  process.stderr.write(`error: ${error.message}\n${error.hint ? `  ${error.hint}\n` : ''}`);
  process.exitCode = 1;
}
