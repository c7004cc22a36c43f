/**
 * Compares a run on two devices (one core each) with the estimate of `plan --devices 2 --measure`.
 *
 *   npm run bench -- schedule [--steps 40] [--rounds 1] [--width 192]
 *
 * The model is a ViT of 16 blocks in 4 modules on Fashion-MNIST, with two micro-batches per step. Two processes train PT, FT and
 * E2E. The modules follow the plan: either two processes train each module in turn, or two modules run at a time on one core
 * each. Step times are measured first, on random images. Predicted and actual times are of training only: the times in the
 * phases' results, arranged as the phases ran. The bandwidth is that of an all-reduce between two processes, measured before. The
 * overlap is 0, because a core that exchanges gradients does not compute. The last column also includes process starts, image
 * loading and evaluation.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { RunError } from '../src/base/errors.js';
import { linkBandwidth } from './schedule/link.js';

// The compiled file is in dist-bench/bench/, and dist is next to it as src.
const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

const { values: flags } = parseArgs({
  options: {
    steps: { type: 'string', default: '40' },
    rounds: { type: 'string', default: '1' },
    width: { type: 'string', default: '192' },
  },
});

const IMAGES = 8192;
const MICRO = 64;

function recipe(steps: number): object {
  const total = 2 * MICRO;
  return {
    name: 'schedule',
    model: {
      image_size: 28,
      patch_size: 7,
      channels: 1,
      classes: 10,
      width: Number(flags.width),
      depth: 16,
      heads: 3,
    },
    incubation: { modules: 4 },
    data: {
      format: 'fashion-mnist',
      train_images: IMAGES,
      eval_images: 100,
      augment: 'none',
      mean: [0.286],
      std: [0.353],
    },
    training: {
      batch_size: MICRO,
      total_batch: total,
      epochs: (steps * total) / IMAGES,
      eval_every: 100,
      checkpoint_every: 3600,
      schedule: { kind: 'step-cosine', warmup: 0 },
    },
    phases: { PT: {}, FT: {}, E2E: { epochs: (steps * total) / IMAGES } },
    run: { device: 'cpu', threads: 1, parallel: 1 },
  };
}

interface Planned {
  readonly devices: number;
  readonly start: number;
  readonly end: number;
  readonly phase: string;
}

function cli(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new RunError(`deep-incubation ${args.join(' ')} ended with ${status}: ${stderr.trim()}`);
}

function seconds(work: () => void): number {
  const started = performance.now();
  work();
  return (performance.now() - started) / 1000;
}

const load = () => loadavg()[0].toFixed(1);

console.log('| what | predicted s | actual s | actual / predicted | with start and evaluation s |');
console.log('|---|---|---|---|---|');
for (let round = 0; round < Number(flags.rounds); round++) {
  const folder = mkdtempSync(join(tmpdir(), 'bench-schedule-'));
  const [path, run] = [join(folder, 'recipe.json'), join(folder, 'run')];
  writeFileSync(path, JSON.stringify(recipe(Number(flags.steps))));
  try {
    const before = load();
    const bandwidth = (await linkBandwidth()) / 1e9;
    const network = ['--bandwidth', bandwidth.toPrecision(3), '--overlap', '0'];
    const asked = ['--devices', '2', '--measure', ...network, '--json'];
    const [{ incubation, end_to_end: baseline }] = JSON.parse(cli('plan', path, ...asked)).schedules;
    const timeOf = (phase: string): number => {
      const { start, end } = [...incubation.phases, ...baseline.phases].find(
        (each: Planned) => each.phase === phase,
      ) as Planned;
      return end - start;
    };
    const doneIn = (phase: string): number =>
      JSON.parse(readFileSync(join(run, phase, 'result.json'), 'utf8')).seconds;
    const train = (phases: string, ranks: number, parallel: number) =>
      seconds(() => {
        const settings = ['--set', `run.ranks=${ranks}`, '--set', `run.parallel=${parallel}`];
        cli('run', path, '--out', run, '--only', phases, ...settings);
      });
    const modules = ['MT/0', 'MT/1', 'MT/2', 'MT/3'];
    const areShared = incubation.phases.some(
      ({ phase, devices }: Planned) => phase === 'MT/0' && devices === 2,
    );
    const wholes = [
      train('PT', 2, 1),
      areShared ? train(modules.join(','), 2, 1) : train(modules.join(','), 1, 2),
      train('FT', 2, 1),
      train('E2E', 2, 1),
    ];
    // The modules start in recipe order, each on the core that is free first.
    const free = areShared ? [0] : [0, 0];
    for (const module of modules) free[free.indexOf(Math.min(...free))] += doneIn(module);
    const actual = [doneIn('PT'), Math.max(...free), doneIn('FT'), doneIn('E2E')];
    const planned = [
      timeOf('PT'),
      incubation.wall - timeOf('PT') - timeOf('FT'),
      timeOf('FT'),
      timeOf('E2E'),
    ];
    const sum = (values: readonly number[]) => values.slice(0, 3).reduce((a, b) => a + b, 0);
    const row = (what: string, predicted: number, took: number, whole: number) =>
      console.log(
        `| ${what} | ${predicted.toFixed(1)} | ${took.toFixed(1)} | ${(took / predicted).toFixed(3)} | ${whole.toFixed(1)} |`,
      );
    for (const [i, what] of [
      'PT, 2 ranks',
      areShared ? 'MT/0-3, 2 ranks' : 'MT/0-3, two at a time',
      'FT, 2 ranks',
      'E2E, 2 ranks',
    ].entries())
      row(what, planned[i], actual[i], wholes[i]);
    row('Deep Incubation', sum(planned), sum(actual), sum(wholes));
    console.log(
      `\nGradients at ${bandwidth.toFixed(2)} GB/s. Load average when measured ${before}, at the end ${load()}.\n`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
