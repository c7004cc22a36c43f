import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ending } from './ending.js';
import { createWatch, progressMessage, type Timing, type Watch } from './process-watch.js';

export interface ProcessOptions {
  readonly env: NodeJS.ProcessEnv;
  /** When aborted, the process is asked to stop (SIGTERM), and killed if it does not stop in time. */
  readonly signal?: AbortSignal;
  readonly onStart?: (pid: number) => void;
  /** Called with messages other than progress. */
  readonly onMessage?: (message: unknown) => void;
  readonly timing?: Partial<Timing>;
}

const STDERR_KEPT = 16_000;
/** Time to read the rest of its stderr if another process still holds the pipe. */
const CLOSING_MS = 1000;

/**
 * Starts a Node process with a message channel, watches it for hangs (see `createWatch`), and returns how it ended. The
 * process and its child processes are killed when it hangs and when this process ends.
 */
export function runProcess(command: readonly string[], options: ProcessOptions): Promise<Ending> {
  const { env, signal, onStart, onMessage } = options;
  const killsBefore = oomKills();
  return new Promise((resolve) => {
    // Detached: Ctrl-C in the terminal then reaches only the supervisor, which passes it on.
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
    // The process could not be started, or its channel broke. Only in the first case there is no `close` event.
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
  /** Why it was killed by this program; undefined if it was not. */
  readonly killedFor: string | undefined;
  /** Kills remaining child processes, and stops watching. */
  end(): void;
}

/** Kills a process that hangs, that does not stop when asked to, or that would outlive this process. */
function keep(child: ChildProcess, watch: Watch, signal: AbortSignal | undefined): Keeper {
  let killedFor: string | undefined;
  let hasEnded = false;
  const killGroup = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // The whole group has ended.
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
  // One listener per process is not a leak.
  process.setMaxListeners(process.getMaxListeners() + 1);
  process.on('exit', killGroup);
  return {
    get killedFor() {
      return killedFor;
    },
    end() {
      // Only once: later the process id may belong to another process.
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

/**
 * Number of processes that the kernel has killed for lack of memory so far: in this process's control group (cgroup v2's
 * `memory.events`, v1's `memory.oom_control`), otherwise on the machine. A kill because the machine lacks memory also counts
 * in the victim's group. Undefined if the system does not report it.
 * @param root of the file system, for tests
 */
export function oomKills(root = '/'): number | undefined {
  const groups = (read(join(root, 'proc/self/cgroup')) ?? '').split('\n').map((line) => line.split(':'));
  const v1 = groups.find(([, controllers]) => controllers?.split(',').includes('memory'))?.[2];
  const v2 = groups.find(([id]) => id === '0')?.[2];
  const mount = join(root, 'sys/fs/cgroup');
  // In a container, the path may be that of the host, and the mount point the group itself.
  const files = [
    ...(v1 === undefined ? [] : [join('memory', v1, OOM_CONTROL), join('memory', OOM_CONTROL)]).map((path) =>
      join(mount, path),
    ),
    ...(v2 === undefined ? [] : [join(mount, v2, EVENTS), join(mount, EVENTS)]),
    join(root, 'proc/vmstat'),
  ];
  for (const file of files) {
    const count = read(file)?.match(/^oom_kill (\d+)$/m)?.[1];
    if (count !== undefined) return Number(count);
  }
  return undefined;
}

const EVENTS = 'memory.events';
const OOM_CONTROL = 'memory.oom_control';

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
