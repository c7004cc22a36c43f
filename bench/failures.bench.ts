/**
 * The work that is lost when a process dies: two devices that train the whole model together, against two devices that train a
 * module each.
 *
 *   npm run bench -- failures [--kills 10] [--every 5] [--seed 0] [--width 64]
 *
 * A device is one core. Both ways save a checkpoint every few seconds (`--every`). After a checkpoint, a random one of their
 * processes is killed (SIGKILL) after a random time of at most that interval; the supervisor restarts what has ended. Lost are
 * the time since the checkpoint and the time until the phase ends a new step, on all devices that train the phase.
 * Writes bench/results/failures.json and failures.md.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { RunError } from '../src/base/errors.js';
import { type RandomStream, randomStream } from '../src/base/random.js';
import { readMetrics } from '../src/run/metrics-log.js';
import { runFolder } from '../src/run/run-folder.js';
import { kill, phasesUnder } from './kill/processes.js';
import { median } from './step/measure.js';
import { writeResults } from './write-results.js';

// The compiled file is in dist-bench/bench/, and dist is next to it as src.
const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string', default: '10' },
    every: { type: 'string', default: '5' },
    seed: { type: 'string', default: '0' },
    width: { type: 'string', default: '64' },
  },
});
const every = Number(flags.every);

const RECIPE = {
  name: 'failures',
  model: {
    image_size: 28,
    patch_size: 7,
    channels: 1,
    classes: 10,
    width: Number(flags.width),
    depth: 24,
    heads: 2,
  },
  incubation: { modules: 2 },
  data: {
    format: 'fashion-mnist',
    train_images: 2048,
    eval_images: 100,
    augment: 'none',
    mean: [0.286],
    std: [0.353],
  },
  // As good as without end: the run is stopped after its last kill.
  training: {
    batch_size: 32,
    total_batch: 64,
    epochs: 10_000,
    log_every: 1,
    eval_every: 10_000,
    checkpoint_every: every,
  },
  phases: { PT: { epochs: 0.1 }, FT: {}, E2E: { epochs: 10_000 } },
  run: { device: 'cpu', threads: 1, parallel: 2, workers: 1, samples: 0, tensorboard: false },
};

interface Way {
  readonly name: string;
  /** Arguments of `run` after the recipe. */
  readonly args: readonly string[];
  readonly phases: readonly string[];
  /** Devices that train a phase. */
  readonly devices: number;
}

const WAYS: readonly Way[] = [
  { name: 'modules', args: ['--only', 'MT'], phases: ['MT/0', 'MT/1'], devices: 1 },
  {
    name: 'end to end',
    args: ['--only', 'E2E', '--set', 'run.ranks=2'],
    phases: ['E2E'],
    devices: 2,
  },
];

/** What one kill cost, in seconds. */
interface Loss {
  readonly phase: string;
  /** From the last checkpoint to the kill: trained again. */
  readonly again: number;
  /** From the kill to the end of the phase's next step. */
  readonly restart: number;
}

const POLL_MS = 20;

/** The step and time of a phase's last checkpoint. */
function saved(runDir: string, phase: string): { readonly step: number; readonly at: number } {
  const latest = join(runFolder(runDir).phase(phase).root, 'checkpoints', 'latest');
  if (!existsSync(latest)) return { step: 0, at: 0 };
  return { step: Number(readFileSync(latest, 'utf8')), at: statSync(latest).mtimeMs };
}

const lastStep = (runDir: string, phase: string) =>
  readMetrics(runFolder(runDir).phase(phase).metrics).at(-1)?.step ?? 0;

interface Run {
  readonly process: ChildProcess;
  /** The end of what it wrote to stderr. */
  errors(): string;
}

function start(recipe: string, runDir: string, args: readonly string[]): Run {
  const child = spawn(process.execPath, [main, 'run', recipe, '--out', runDir, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-2000);
  });
  return { process: child, errors: () => errors };
}

/** Waits until `isReached`. @throws RunError if the run ends before */
async function until({ process: run, errors }: Run, isReached: () => boolean): Promise<void> {
  while (!isReached()) {
    if (run.exitCode !== null)
      throw new RunError(`the run ended with exit code ${run.exitCode}: ${errors()}`);
    await sleep(POLL_MS);
  }
}

/** Kills a process of the run, and waits until its phase has ended a new step. */
async function strike(run: Run, runDir: string, random: RandomStream): Promise<Loss> {
  const running = phasesUnder(run.process.pid as number);
  const { pid, phase } = running[random.integer(0, running.length - 1)];
  const at = Date.now();
  const { step, at: savedAt } = saved(runDir, phase);
  // The record of steps after the checkpoint is removed when the phase resumes.
  let hasResumed = lastStep(runDir, phase) <= step;
  kill(pid);
  await until(run, () => {
    const last = lastStep(runDir, phase);
    hasResumed ||= last <= step;
    return hasResumed && last > step;
  });
  return { phase, again: (at - savedAt) / 1000, restart: (Date.now() - at) / 1000 };
}

async function lossesOf(way: Way, recipe: string, runDir: string): Promise<Loss[]> {
  const random = randomStream(['failures', Number(flags.seed)]);
  const run = start(recipe, runDir, way.args);
  const losses: Loss[] = [];
  try {
    while (losses.length < Number(flags.kills)) {
      const before = way.phases.map((phase) => saved(runDir, phase).step);
      await until(run, () => way.phases.every((phase, i) => saved(runDir, phase).step > before[i]));
      await sleep(random.uniform() * every * 1000);
      losses.push(await strike(run, runDir, random));
    }
  } finally {
    if (run.process.exitCode === null) {
      run.process.kill('SIGTERM');
      await once(run.process, 'exit');
    }
  }
  return losses;
}

const folder = mkdtempSync(join(tmpdir(), 'bench-failures-'));
try {
  const recipe = join(folder, 'recipe.json');
  writeFileSync(recipe, JSON.stringify(RECIPE));
  const runDir = join(folder, 'run');
  const args = [main, 'run', recipe, '--out', runDir, '--only', 'PT'];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new RunError(`PT ended with exit code ${status}: ${stderr}`);
  const measured = [];
  for (const way of WAYS) measured.push({ way, losses: await lossesOf(way, recipe, runDir) });
  const lines = measured.map(({ way, losses }) => {
    const of = (value: (loss: Loss) => number) => median(losses.map(value)).toFixed(1);
    const lost = (loss: Loss) => way.devices * (loss.again + loss.restart);
    const cells = [
      way.name,
      losses.length,
      of(({ again }) => again),
      of(({ restart }) => restart),
      way.devices,
    ];
    return `| ${[...cells, of(lost)].join(' | ')} |`;
  });
  const table = [
    '| training | kills | trained again, s | until the next step, s | devices | device-seconds lost |',
    '|---|---|---|---|---|---|',
    ...lines,
    '',
    `Medians; a checkpoint every ${every} s.`,
  ].join('\n');
  writeResults('failures', table, { seed: Number(flags.seed), every, measured });
  console.log(table);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
