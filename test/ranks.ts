import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort } from '../src/launch/processes/ranks.js';

const SCRIPT = fileURLToPath(new URL('fixtures/rank.mjs', import.meta.url));

/** How one of several processes ended: `value` is what it printed. */
export interface RankEnding<T> {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly value: T;
  readonly stderr: string;
}

/** Printed by a process that ended with an error of the product. */
export interface Refusal {
  readonly error: string;
  readonly message: string;
  readonly hint: string;
}

/** Runs `size` processes of test/fixtures/rank.mjs (it uses dist) that meet at a free port of this machine. */
export async function ranks<T>(
  size: number,
  task: string,
  settings: object = {},
  options: { readonly env?: NodeJS.ProcessEnv; readonly started?: (processes: ChildProcess[]) => void } = {},
): Promise<RankEnding<T>[]> {
  const port = await freePort();
  const common = { WORLD_SIZE: String(size), MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(port) };
  const processes = Array.from({ length: size }, (_, rank) =>
    spawn(process.execPath, [SCRIPT, task, JSON.stringify(settings)], {
      env: { ...process.env, ...common, RANK: String(rank), LOCAL_RANK: String(rank), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  options.started?.(processes);
  return Promise.all(processes.map((child) => ending<T>(child)));
}

async function ending<T>(child: ChildProcess): Promise<RankEnding<T>> {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.on('data', (chunk) => (output[name] += chunk));
  const [code, signal] = await once(child, 'close');
  const value = output.stdout === '' ? undefined : JSON.parse(output.stdout);
  return { code, signal, value, stderr: output.stderr };
}
