import { type ChildProcess, spawn } from 'node:child_process';
import type { Ending } from './ending.js';
import { oomKills } from './oom-kills.js';
import { createWatch, progressMessage, type Timing, type Watch } from './process-watch.js';

export interface ProcessOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Once aborted, the process is asked to leave (SIGTERM), and killed where it does not in time. */
  readonly signal?: AbortSignal;
  readonly onStart?: (pid: number) => void;
  /** Of messages that do not merely tell of progress. */
  readonly onMessage?: (message: unknown) => void;
  readonly timing?: Partial<Timing>;
}

const STDERR_KEPT = 16_000;
/** For the rest of its stderr, where something else still holds the pipe. */
const CLOSING_MS = 1000;

/**
 * Starts a Node process with a message channel, watches that it lives (see `createWatch`), and tells how it ended.
 * It is killed when it hangs, and when this process ends; so is whatever it started itself.
 */
export function runProcess(command: readonly string[], options: ProcessOptions): Promise<Ending> {
  const { env, signal, onStart, onMessage } = options;
  const killsBefore = oomKills();
  return new Promise((resolve) => {
    // Its own group: a Ctrl-C in the terminal reaches the supervisor alone, which passes it on.
    const child = spawn(command[0], command.slice(1), {
      env,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const watch = createWatch(child.pid, options.timing);
    const keeper = keep(child, watch, signal);
    let stderr = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-STDERR_KEPT);
    });
    child.on('message', (message) => {
      const progress = progressMessage.safeParse(message);
      if (progress.success) watch.mark(progress.data.doing);
      else onMessage?.(message);
    });
    child.on('spawn', () => onStart?.(child.pid as number));
    // It could not be started, or its channel broke; the first has no end of its own.
    child.on('error', (error) => {
      if (child.pid === undefined) end(null, null, error.message);
    });
    child.on('exit', () => {
      keeper.end();
      setTimeout(() => child.stderr?.destroy(), CLOSING_MS).unref();
    });
    child.on('close', (code, endSignal) => end(code, endSignal));

    const end = (code: number | null, endSignal: NodeJS.Signals | null, notStarted?: string) => {
      keeper.end();
      const killsAfter = oomKills();
      resolve({
        code,
        signal: endSignal,
        notStarted,
        killedFor: keeper.killedFor,
        stderr,
        oomKills:
          killsBefore === undefined || killsAfter === undefined ? undefined : killsAfter - killsBefore,
      });
    };
  });
}

interface Keeper {
  /** Why it was killed here, if it was. */
  readonly killedFor: string | undefined;
  /** Kills what the process left, and stops looking after it. */
  end(): void;
}

/** Kills a process that hangs, that does not leave when asked to, or that would outlive this one. */
function keep(child: ChildProcess, watch: Watch, signal: AbortSignal | undefined): Keeper {
  let killedFor: string | undefined;
  let hasEnded = false;
  const killGroup = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // All of it has ended.
    }
  };
  const kill = (reason: string | undefined) => {
    if (reason === undefined || killedFor !== undefined) return;
    killedFor = reason;
    killGroup();
  };
  const looking = setInterval(() => kill(watch.look()), watch.everyMs);
  let leaving: NodeJS.Timeout | undefined;
  const stop = () => {
    const asked = performance.now();
    child.kill('SIGTERM');
    leaving = setInterval(() => kill(watch.overdue(performance.now() - asked)), LEAVING_MS);
  };
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop);
  // One listener a process is no leak, however many there are.
  process.setMaxListeners(process.getMaxListeners() + 1);
  process.on('exit', killGroup);
  return {
    get killedFor() {
      return killedFor;
    },
    end() {
      // Once: later its number may be another's.
      if (hasEnded) return;
      hasEnded = true;
      killGroup();
      clearInterval(looking);
      clearInterval(leaving);
      signal?.removeEventListener('abort', stop);
      process.off('exit', killGroup);
      process.setMaxListeners(process.getMaxListeners() - 1);
    },
  };
}

const LEAVING_MS = 100;
