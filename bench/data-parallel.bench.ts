/**
 * Data parallelism: two Gloo processes on one core each, against one process; compared with PyTorch's DistributedDataParallel.
 *
 *   npm run bench -- data-parallel [--rounds 7] [--steps 2] [--batch 64]
 *
 * Trains the whole DeiT-T at 32 px in float32, with 64 images per process. Four set-ups in long-lived processes (ours and
 * PyTorch, with one and two ranks) take turns on the same weights and batch. Their losses must agree, since both ranks have the
 * same images. A ratio compares throughputs of the same round. Each rank is pinned to one core (taskset).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { RunError } from '../src/base/errors.js';
import { freePort } from '../src/launch/processes/ranks.js';
import { allCases } from './step/cases.js';
import { median } from './step/measure.js';
import { benchPython } from './step/python.js';
import { type Steps, startWorker, type Worker } from './step/worker.js';

// The compiled file is in dist-bench/bench/; the Python code is in bench/.
const python = fileURLToPath(new URL('../../bench/pytorch/worker.py', import.meta.url));
const ours = fileURLToPath(new URL('step/ours-worker.js', import.meta.url));
/** The fastest variant of the step bench without torch.compile. */
const VARIANT = { sdpa: true, compile: false, freeze_suffix: true, fused: true };
const TOLERANCE = 1e-5;

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    steps: { type: 'string', default: '2' },
    batch: { type: 'string', default: '64' },
  },
});
const known = allCases().find(
  ({ size, phase, precision }) => size === 'deit' && phase === 'E2E' && precision === 'float32',
);
if (known === undefined) throw new RangeError('the step bench has no deit E2E float32');
const what = { ...known, batch: Number(flags.batch) };

interface SetUp {
  readonly name: string;
  readonly ranks: readonly Worker[];
  readonly rounds: number[];
}

async function setUp(name: string, command: readonly string[], size: number): Promise<SetUp> {
  const launched = {
    MASTER_ADDR: '127.0.0.1',
    MASTER_PORT: String(await freePort()),
    WORLD_SIZE: String(size),
  };
  const ranks = Array.from({ length: size }, (_, rank) => {
    const env = { ...process.env, OMP_NUM_THREADS: '1', RANK: String(rank), LOCAL_RANK: String(rank) };
    const pinned = ['-c', String(rank), ...command];
    return startWorker(`${name}, rank ${rank} of ${size}`, 'taskset', pinned, { ...env, ...launched });
  });
  return { name, ranks, rounds: [] };
}

/** Sends a request to all ranks at once. */
function ask<Answer>({ ranks }: SetUp, request: Parameters<Worker['ask']>[0]): Promise<Answer[]> {
  return Promise.all(ranks.map((rank) => rank.ask<Answer>(request)));
}

const folder = mkdtempSync(join(tmpdir(), 'bench-data-parallel-'));
const theirs = [benchPython(process.env), python, JSON.stringify(VARIANT)];
const setUps = [
  await setUp('ours', [process.execPath, ours], 1),
  await setUp('ours x 2', [process.execPath, ours], 2),
  await setUp('PyTorch', theirs, 1),
  await setUp('PyTorch DDP x 2', theirs, 2),
];
try {
  const tensors = join(folder, 'case.safetensors');
  await setUps[0].ranks[0].ask({ cmd: 'prepare', case: what, path: tensors });
  let expected: readonly number[] | undefined;
  for (const each of setUps) {
    await ask(each, { cmd: 'load', case: { ...what, tensors, undecayed: ['pos_embed', 'cls_token'] } });
    for (const { losses } of await ask<Steps>(each, { cmd: 'steps', n: 3 })) {
      expected ??= losses;
      if (losses.every((loss, i) => Math.abs(loss / (expected?.[i] ?? 0) - 1) < TOLERANCE)) continue;
      throw new RunError(`${each.name}: the losses ${losses.join(', ')} are not ${expected.join(', ')}`);
    }
  }
  for (let round = 0; round < Number(flags.rounds); round++) {
    const turn = round % setUps.length;
    for (const each of [...setUps.slice(turn), ...setUps.slice(0, turn)]) {
      const steps = await ask<Steps>(each, { cmd: 'steps', n: Number(flags.steps) });
      // A step ends when its last rank ends.
      each.rounds.push(Math.max(...steps.map(({ ms }) => median(ms))));
    }
  }
  const [one, two, one_, two_] = setUps;
  console.log('| | 1 rank, ms | 2 ranks, ms | throughput of 2 / 1 |');
  console.log('|---|---|---|---|');
  row('ours', one, two);
  row('PyTorch', one_, two_);
  const [alone, together] = [ratios(one_, one), ratios(two_, two)].map(shown);
  console.log(
    `\nOurs is ${alone} x as fast with 1 rank, ${together} x with 2. Load average ${loadavg()[0].toFixed(1)}.`,
  );
} finally {
  for (const worker of setUps.flatMap(({ ranks }) => ranks)) worker.end();
  rmSync(folder, { recursive: true });
}

function row(name: string, alone: SetUp, together: SetUp): void {
  const scaling = ratios(alone, together).map((ratio) => ratio * together.ranks.length);
  const ms = [alone, together].map(({ rounds }) => median(rounds).toFixed(1));
  console.log(`| ${[name, ...ms, shown(scaling)].join(' | ')} |`);
}

/** The ratio of the times in each round. */
function ratios(a: SetUp, b: SetUp): number[] {
  return a.rounds.map((ms, round) => ms / b.rounds[round]);
}

function shown(values: readonly number[]): string {
  return `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}-${Math.max(...values).toFixed(2)})`;
}
