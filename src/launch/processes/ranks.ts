import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Ending } from './ending.js';
import { createWatch, progressMessage, type Timing, type Watch } from './process-watch.js';

interface RanksOptions extends ProcessOptions {
  /** Number of processes. */
  readonly ranks: number;
  /** First LOCAL_RANK, so that groups of processes on the same machine use different GPUs. */
  readonly firstLocalRank: number;
}

/** Time for the other processes to end after one has ended. Then they are killed. */
const FOLLOWING_MS = 5000;
/** Only rank 0 is watched: the other ranks wait while it evaluates. If one of them hangs, so does rank 0. */
const UNWATCHED = {
  idleMs: Number.POSITIVE_INFINITY,
  stuckMs: Number.POSITIVE_INFINITY,
  graceMs: Number.POSITIVE_INFINITY,
  savingGraceMs: Number.POSITIVE_INFINITY,
};

/**
 * `runProcess` for several processes of one command that train together, with the environment variables that torchrun sets.
 * If one fails, all end.
 * @returns how rank 0 ended if all succeeded; otherwise how the process ended that most likely caused the failure
 */
export async function runRanks(command: readonly string[], options: RanksOptions): Promise<Ending> {
  const { ranks, firstLocalRank, env, onStart, timing } = options;
  // Override the variables of a launcher that started this process.
  if (ranks === 1) return runProcess(command, { ...options, env: { ...env, RANK: '0', WORLD_SIZE: '1' } });

  const common = {
    WORLD_SIZE: String(ranks),
    LOCAL_WORLD_SIZE: String(ranks),
    MASTER_ADDR: '127.0.0.1',
    MASTER_PORT: String(await freePort()),
  };
  const alive = new Map<number, number>();
  const killed = new Set<number>();
  const endings: Ending[] = [];
  let ending: NodeJS.Timeout | undefined;
  const killOthers = () => {
    for (const [rank, pid] of alive) {
      killed.add(rank);
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // The process has just ended.
      }
    }
  };
  const one = async (rank: number): Promise<Ending> => {
    const ended = await runProcess(command, {
      ...options,
      env: { ...env, ...common, RANK: String(rank), LOCAL_RANK: String(firstLocalRank + rank), ...NO_AGENT },
      timing: rank === 0 ? timing : UNWATCHED,
      onStart(pid) {
        alive.set(rank, pid);
        if (rank === 0) onStart?.(pid);
      },
    });
    alive.delete(rank);
    if (!killed.has(rank)) endings.push(ended);
    ending ??= setTimeout(killOthers, FOLLOWING_MS);
    return ended;
  };
  const [first] = await Promise.all(Array.from({ length: ranks }, (_, rank) => one(rank)));
  clearTimeout(ending);
  const bad = endings.filter(({ code }) => code !== 0);
  // A process that loses a peer ends by itself, with an exit code.
  const blamed = bad.find(({ signal, notStarted }) => signal !== null || notStarted !== undefined) ?? bad[0];
  return blamed ?? first;
}

/** Rank 0 hosts the store, even if torchrun started this process. */
const NO_AGENT = { TORCHELASTIC_USE_AGENT_STORE: 'False' };

/** A port of this machine that is currently unused. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

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
