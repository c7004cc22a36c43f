/**
 * Two machines with a slow link: end-to-end training with data parallelism, against modules that train independently.
 *
 *   npm run bench -- links [--rates 1000,100,10] [--rounds 3] [--steps 2] [--batch 64]     (as root)
 *
 * The machines are network namespaces with one core each; both directions of the link between them are limited to a rate in Mbit/s
 * (tc, token bucket). The model is DeiT-T at 32 px in float32, divided into four modules. End to end exchanges gradients at each step
 * over Gloo. The modules MT/0 and MT/1 train on one machine each; before and after, the weights of a hybrid cross the link once
 * (more than needed: the meta model one way, one module the other). Bytes are read from the link's counter.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { RunError } from '../src/base/errors.js';
import { type Host, makeHosts, onHost, rankEnvironment } from './links/hosts.js';
import { allCases, type Case } from './step/cases.js';
import { median } from './step/measure.js';
import { type Steps, startWorker, type Worker } from './step/worker.js';

const ours = fileURLToPath(new URL('step/ours-worker.js', import.meta.url));
const transfer = fileURLToPath(new URL('links/transfer.js', import.meta.url));
const PORTS = { group: 29_611, transfer: 29_612 };

const { values: flags } = parseArgs({
  options: {
    rates: { type: 'string', default: '1000,100,10' },
    rounds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '2' },
    batch: { type: 'string', default: '64' },
  },
});

const caseOf = (phase: string): Case => {
  const found = allCases().find(
    (each) => each.size === 'deit' && each.precision === 'float32' && each.phase === phase,
  );
  if (found === undefined) throw new RangeError(`the step bench has no deit ${phase} float32`);
  return { ...found, batch: Number(flags.batch) };
};

const folder = mkdtempSync(join(tmpdir(), 'bench-links-'));
const hosts = makeHosts();
const workers: Worker[] = [];

function worker(host: Host, core: number, more: NodeJS.ProcessEnv = {}): Worker {
  const [command, args] = onHost(host, core, [process.execPath, ours]);
  const env = { ...process.env, OMP_NUM_THREADS: '1', ...more };
  workers.push(startWorker(`on ${host.name}`, command, args, env));
  return workers[workers.length - 1];
}

/** Loads a case into workers and runs its first steps, which are not measured. */
async function load(group: readonly Worker[], what: Case): Promise<void> {
  const tensors = join(folder, `${what.phase.replace('/', '-')}.safetensors`);
  await group[0].ask({ cmd: 'prepare', case: what, path: tensors });
  const loaded = { ...what, tensors, undecayed: ['pos_embed', 'cls_token'] };
  await Promise.all(group.map((each) => each.ask({ cmd: 'load', case: loaded })));
}

/** Milliseconds of a step of the slowest worker, for each round. */
async function stepTimes(group: readonly Worker[]): Promise<number[]> {
  const rounds: number[] = [];
  for (let round = 0; round < Number(flags.rounds); round++) {
    const steps = await Promise.all(
      group.map((each) => each.ask<Steps>({ cmd: 'steps', n: Number(flags.steps) })),
    );
    rounds.push(Math.max(...steps.map(({ ms }) => median(ms))));
  }
  return rounds;
}

/** Seconds in which `bytes` cross the link. */
async function transferSeconds(bytes: number): Promise<number> {
  const [to, from] = hosts.both;
  const run = (host: Host, args: readonly string[]) =>
    spawn(...onHost(host, 0, [process.execPath, transfer, ...args]), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  const receiver = run(to, ['receive', String(PORTS.transfer)]);
  await once(createInterface({ input: receiver.stdout }), 'line');
  const sender = run(from, ['send', to.address, String(PORTS.transfer), String(bytes)]);
  const [[seconds], [code]] = await Promise.all([
    once(createInterface({ input: sender.stdout }), 'line'),
    once(sender, 'exit'),
  ]);
  if (code !== 0) throw new RunError(`the transfer of ${bytes} bytes failed with status ${code}`);
  return Number(seconds);
}

const MB = 1e6;
const perSecond = (ms: number, machines: number) => (machines * Number(flags.batch) * 1000) / ms;

try {
  const [a, b] = hosts.both;
  const whole = caseOf('E2E');
  const one = worker(a, 0);
  await load([one], whole);
  await stepTimes([one]);
  const alone = median(await stepTimes([one]));

  const modules = [
    { worker: one, module: caseOf('MT/0') },
    { worker: worker(b, 1), module: caseOf('MT/1') },
  ];
  for (const each of modules) await load([each.worker], each.module);
  const idle = hosts.sentBytes();
  await stepTimes(modules.map((each) => each.worker));
  const apart = await Promise.all(modules.map(async (each) => median(await stepTimes([each.worker]))));
  const inTurn: number[] = [];
  for (const each of modules) inTurn.push(median(await stepTimes([each.worker])));
  if (hosts.sentBytes() - idle > 10_000) throw new RunError('the modules used the link while they trained');
  const gain = apart.reduce((sum, ms, i) => sum + inTurn[i] / ms, 0);
  const images = 4 * Number(flags.batch) * whole.vit.channels * whole.vit.imageSize ** 2;
  const hybrid = statSync(join(folder, 'MT-1.safetensors')).size - images;

  const group = hosts.both.map((host, rank) =>
    worker(host, rank, rankEnvironment(hosts.both, rank, PORTS.group)),
  );
  await load(group, whole);
  console.log(
    `One machine, end to end: ${alone.toFixed(0)} ms a step of ${flags.batch} images, ${perSecond(alone, 1).toFixed(1)} images/s.\n` +
      `Two modules at once, one on each machine: ${gain.toFixed(2)} times the throughput of one machine; no byte exchanged while they train.\n`,
  );
  console.log(
    '| link, Mbit/s | end to end on both, ms a step | MB sent a step and machine | throughput of 2 / 1 | a hybrid crosses the link, MB, s |',
  );
  console.log('|---|---|---|---|---|');
  for (const rate of flags.rates.split(',').map(Number)) {
    hosts.limit(rate);
    await Promise.all(group.map((each) => each.ask({ cmd: 'steps', n: 1 })));
    const before = hosts.sentBytes();
    const ms = median(await stepTimes(group));
    const sent = (hosts.sentBytes() - before) / (Number(flags.rounds) * Number(flags.steps));
    const cells = [
      ...[rate, ms.toFixed(0), (sent / MB).toFixed(1), ((2 * alone) / ms).toFixed(2)],
      `${(hybrid / MB).toFixed(1)}, ${(await transferSeconds(hybrid)).toFixed(2)}`,
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
  console.log(`\nLoad average ${loadavg()[0].toFixed(1)}.`);
} finally {
  for (const each of workers) each.end();
  hosts.remove();
  rmSync(folder, { recursive: true });
}
