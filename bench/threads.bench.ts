/**
 * Compares a training step with one thread and with all threads, for different spin times before threads sleep, on an idle and on
 * a busy machine.
 *
 *   npm run bench -- threads [--size demo] [--busy 0,1,2] [--spins 300000,5000,2000,0] [--threads N] [--rounds 7] [--steps 2]
 *
 * There is one process per variant; they take turns, so a ratio compares steps of one round under the same load. `--busy` starts
 * this number of processes that never pause. 300,000 spins is the default of GNU OpenMP. Ratios are times relative to one thread:
 * below 1 is faster. Writes bench/results/threads.json and .md.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { InputError } from '../src/base/errors.js';
import { allCases } from './step/cases.js';
import { median } from './step/measure.js';
import { type Steps, startWorker, type Worker } from './step/worker.js';
import { writeResults } from './write-results.js';

const { values: flags } = parseArgs({
  options: {
    size: { type: 'string', default: 'demo' },
    busy: { type: 'string', default: '0,1,2' },
    spins: { type: 'string', default: '300000,5000,2000,0' },
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '7' },
    steps: { type: 'string', default: '2' },
  },
});

const BASE = '1 thread';
const workerPath = fileURLToPath(new URL('step/ours-worker.js', import.meta.url));

/** OpenMP settings by variant name. */
function variants(): Map<string, NodeJS.ProcessEnv> {
  const env = { ...process.env };
  delete env.OMP_WAIT_POLICY;
  const ofSpins = flags.spins.split(',').map((spins): [string, NodeJS.ProcessEnv] => {
    const name = `${flags.threads} threads, spins ${Number(spins).toLocaleString('en-US')}`;
    return [name, { ...env, GOMP_SPINCOUNT: spins, OMP_NUM_THREADS: flags.threads }];
  });
  return new Map([[BASE, { ...env, OMP_NUM_THREADS: '1' }], ...ofSpins]);
}

/** Median milliseconds of a step in each round, by variant. */
type Rounds = Record<string, number[]>;

async function measure(workers: readonly Worker[]): Promise<Rounds> {
  const rounds: Rounds = Object.fromEntries(workers.map(({ name }) => [name, []]));
  for (let round = 0; round < Number(flags.rounds); round++) {
    const turn = round % workers.length;
    for (const worker of [...workers.slice(turn), ...workers.slice(0, turn)]) {
      const { ms } = await worker.ask<Steps>({ cmd: 'steps', n: Number(flags.steps) });
      rounds[worker.name].push(median(ms));
    }
  }
  return rounds;
}

/** Exits when the bench exits, even if the bench is killed. */
const BUSY = 'const parent = process.ppid; while (process.ppid === parent);';

function startBusy(count: number): ChildProcess[] {
  return Array.from({ length: count }, () => spawn(process.execPath, ['-e', BUSY], { stdio: 'ignore' }));
}

function row(busy: number, name: string, rounds: Rounds): string {
  const ratios = rounds[name].map((ms, round) => ms / rounds[BASE][round]).sort((a, b) => a - b);
  const range = `${ratios[0].toFixed(2)} to ${ratios[ratios.length - 1].toFixed(2)}`;
  return `| ${busy} | ${name} | ${median(rounds[name]).toFixed(0)} | ${median(ratios).toFixed(2)} | ${range} |`;
}

const found = allCases().find(
  ({ size, phase, precision }) => size === flags.size && phase === 'E2E' && precision === 'float32',
);
if (found === undefined) throw new InputError(`--size ${flags.size}: expected deit or demo`);
const folder = mkdtempSync(join(tmpdir(), 'bench-threads-'));
const workers = [...variants()].map(([name, env]) => startWorker(name, process.execPath, [workerPath], env));
const lines = [
  '| busy processes | variant | ms a step | relative to 1 thread | range |',
  '|---|---|---|---|---|',
];
const results: { busy: number; load: number; rounds: Rounds }[] = [];
try {
  const tensors = join(folder, 'case.safetensors');
  await workers[0].ask({ cmd: 'prepare', case: found, path: tensors });
  for (const worker of workers) {
    await worker.ask({ cmd: 'load', case: { ...found, tensors, undecayed: [] } });
    await worker.ask({ cmd: 'steps', n: 2 });
  }
  for (const busy of flags.busy.split(',').map(Number)) {
    const others = startBusy(busy);
    try {
      const before = loadavg()[0];
      const rounds = await measure(workers);
      results.push({ busy, load: before, rounds });
      const rows = workers.map(({ name }) => row(busy, name, rounds));
      lines.push(...rows);
      console.log(rows.join('\n'));
    } finally {
      for (const other of others) other.kill('SIGKILL');
    }
  }
} finally {
  for (const worker of workers) worker.end();
  rmSync(folder, { recursive: true });
}
writeResults('threads', lines.join('\n'), { flags, results });
