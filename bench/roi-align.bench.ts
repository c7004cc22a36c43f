/**
 * Compares RoIAlign, forward and backward, with torchvision on the CPU, in milliseconds.
 *
 *   npm run bench -- roi-align [--boxes 512] [--channels 256] [--size 200] [--rounds 5] [--threads 1]
 *
 * Boxes of 16 to 40 places a side on one map of size x size places. Without torchvision's operators in the Python
 * (DEEP_INCUBATION_BENCH_PYTHON, or python3), only ours is measured. A torchvision for another build of torch lacks them.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { RunError } from '../src/base/errors.js';
import { roiAlign } from '../src/tasks/detection/index.js';
import { backward } from '../src/torch/autograd.js';
import { tensorOperator } from '../src/torch/operator.js';
import { clone, mul, permute, select, sum, to } from '../src/torch/ops.js';
import { keep, scope } from '../src/torch/scope.js';
import { fromArray, type Tensor } from '../src/torch/tensor.js';
import { median } from './step/measure.js';

const { values: flags } = parseArgs({
  options: {
    boxes: { type: 'string', default: '512' },
    channels: { type: 'string', default: '256' },
    size: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: process.env.OMP_NUM_THREADS ?? '1' },
  },
});

interface Side {
  readonly times: readonly number[];
  /** Sum of the averages. */
  readonly sum: number;
  /** Sum of the squared gradients of the first channel. */
  readonly gradient: number;
}

const [count, channels, size, rounds, threads] = [
  flags.boxes,
  flags.channels,
  flags.size,
  flags.rounds,
  flags.threads,
].map(Number);

// libtorch reads the number of threads when it is loaded.
if (process.env.OMP_NUM_THREADS !== `${threads}`) {
  const env = { ...process.env, OMP_NUM_THREADS: `${threads}` };
  const { status } = spawnSync(process.execPath, process.argv.slice(1), { env, stdio: 'inherit' });
  process.exit(status ?? 1);
}

const [theirs, ours] = [torchvision(), measured()];
process.stdout.write('| boxes | channels | ours | torchvision | ratio |\n| --- | --- | --- | --- | --- |\n');
process.stdout.write(`| ${count} | ${channels} | ${milliseconds(ours)} | ${compared()} |\n`);

function compared(): string {
  if (theirs === undefined) return 'not found | ';
  for (const key of ['sum', 'gradient'] as const) {
    if (!(Math.abs(ours[key] / theirs[key] - 1) < 1e-5)) {
      throw new RunError(`${key}: ours is ${ours[key]}, torchvision's ${theirs[key]}`);
    }
  }
  return `${milliseconds(theirs)} | ${(median(theirs.times) / median(ours.times)).toFixed(2)}`;
}

function milliseconds({ times }: Side): string {
  return `${median(times).toFixed(1)} ms`;
}

function torchvision(): Side | undefined {
  const python = process.env.DEEP_INCUBATION_BENCH_PYTHON || 'python3';
  const program = fileURLToPath(new URL('../../bench/pytorch/roi_align.py', import.meta.url));
  const settings = JSON.stringify({ boxes: count, channels, size, rounds, threads });
  const { status, stdout, stderr, error } = spawnSync(python, [program, settings], { encoding: 'utf8' });
  if (status === 3 || error) return undefined;
  if (status !== 0) throw new RunError(`${program} failed: ${stderr}`);
  return JSON.parse(stdout);
}

function measured(): Side {
  const values = Float32Array.from(
    { length: size * size * channels },
    (_, i) => Math.fround((i * 7919) % 1009) / 1009,
  );
  const side = 4 * size - 240;
  const boxes = Float32Array.from({ length: count * 4 }, (_, at) => {
    const i = Math.floor(at / 4);
    const [left, top] = [(i * 37) % side, (i * 61) % side];
    return [left, top, left + 64 + ((i * 13) % 96), top + 64 + ((i * 29) % 96)][at % 4];
  });
  const regions = { boxes, images: new Uint8Array(count) };
  const features = scope(() => {
    const rows = fromArray(values, [1, size, size, channels]);
    return keep(tensorOperator('aten::contiguous')(permute(rows, [0, 3, 1, 2])));
  });
  const all = Array.from({ length: rounds + 1 }, () =>
    scope(() => {
      const leaf = clone(features);
      leaf.requiresGrad = true;
      const start = performance.now();
      const aligned = roiAlign({ features: leaf, stride: 4 }, regions, 7);
      backward(sum(aligned));
      const time = performance.now() - start;
      const gradient = select(select(leaf.grad as Tensor, 0, 0), 0, 0);
      const wide = [aligned, mul(gradient, gradient)].map((each) => sum(to(each, { dtype: 'F64' })).item());
      return { time, sum: wide[0], gradient: wide[1] };
    }),
  );
  const [{ sum: total, gradient }] = all;
  return { times: all.slice(1).map(({ time }) => time), sum: total, gradient };
}
