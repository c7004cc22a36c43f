import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Ending } from './ending.js';
import { type ProcessOptions, runProcess } from './local.js';

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
