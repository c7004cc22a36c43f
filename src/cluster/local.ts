import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** What this machine has for phases to share. */
export interface Machine {
  readonly cores: number;
  /** GPUs that processes started here may use. */
  readonly gpus: number;
}

export function localMachine(env: NodeJS.ProcessEnv = process.env): Machine {
  return { cores: availableParallelism(), gpus: countGpus(env) };
}

/** Read off the device files, so that the supervisor need not load libtorch. */
function countGpus(env: NodeJS.ProcessEnv): number {
  const visible = env.CUDA_VISIBLE_DEVICES;
  if (visible !== undefined) return visible.split(',').filter((id) => /^[^-\s]/.test(id.trim())).length;
  return readdirSync('/dev').filter((name) => /^nvidia\d+$/.test(name)).length;
}

/** How a process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last message it sent over its channel, if any. */
  readonly message: unknown;
  /** The end of what it wrote to stderr. */
  readonly stderr: string;
}

const STDERR_KEPT = 4000;

/** Starts a Node process with a message channel, and tells how it ended. `signal` is passed on as SIGTERM. */
export function runProcess(
  command: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly signal?: AbortSignal },
): Promise<Ending> {
  return new Promise((resolve, reject) => {
    // Its own group: a Ctrl-C in the terminal reaches the supervisor alone, which passes it on.
    const child = spawn(command[0], command.slice(1), {
      env: options.env,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let stderr = '';
    let message: unknown;
    const stop = () => child.kill('SIGTERM');
    options.signal?.addEventListener('abort', stop);
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-STDERR_KEPT);
    });
    child.on('message', (received) => {
      message = received;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      options.signal?.removeEventListener('abort', stop);
      resolve({ code, signal, message, stderr });
    });
  });
}
