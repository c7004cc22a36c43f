import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunError } from '../../src/base/errors.js';
import type { RandomStream } from '../../src/base/random.js';
import { readMetrics } from '../../src/run/metrics-log.js';
import { runFolder } from '../../src/run/run-folder.js';
import { kill, phasesUnder } from './processes.js';

/** Errors after which the run is started again. The second occurs while a process of an earlier, killed bench is still alive. */
const EXPECTED = /times in a row without a new checkpoint|is in use by process/;

const TARGETS = ['phase', 'supervisor', 'both'] as const;

/** A SIGKILL and its target. */
export interface Kill {
  /** The phase that was hit, or one that was running; null before the first phase, between phases, and after the last. */
  readonly phase: string | null;
  readonly target: (typeof TARGETS)[number];
  /** Whether a checkpoint was being written, which leaves a temporary folder. */
  readonly inCheckpoint: boolean;
  /** The last recorded step of the phase; 0 before its first. */
  readonly step: number;
}

export interface KillOptions {
  readonly runDir: string;
  /** Starts or resumes the run. */
  readonly start: () => {
    readonly process: ChildProcess;
    readonly ended: Promise<{ code: number | null; stderr: string }>;
  };
  /** Maximum number of kills in total and per running phase; after that, the run is not disturbed any more. */
  readonly kills: number;
  readonly killsPerPhase: number;
  readonly random: RandomStream;
  /** Maximum time in milliseconds from a start or a kill to the next kill. */
  readonly longestMs: number;
  readonly onKill?: (kill: Kill) => void;
}

/**
 * Runs until the run is done, and kills its processes at random times: a phase's process, the supervisor, or all of them.
 * Restarts the supervisor each time.
 * @throws RunError if the run fails without being killed, except if it died too often without a new checkpoint
 */
export async function killRepeatedly(options: KillOptions): Promise<Kill[]> {
  const { start, random, longestMs } = options;
  const kills: Kill[] = [];
  for (;;) {
    const run = start();
    let code: number | null | undefined;
    const ended = run.ended.then((ending) => {
      code = ending.code;
      return ending;
    });
    let isSupervisorKilled = false;
    while (code === undefined && !isSupervisorKilled && kills.length < options.kills) {
      await Promise.race([sleep(random.uniform() ** 2 * longestMs), ended]);
      if (code !== undefined) break;
      const done = strike(run.process.pid as number, options, kills);
      if (done === undefined) continue;
      kills.push(done);
      options.onKill?.(done);
      isSupervisorKilled = done.target !== 'phase';
    }
    const ending = await ended;
    if (ending.code === 0) return kills;
    if (!isSupervisorKilled && !EXPECTED.test(ending.stderr))
      throw new RunError(`the run ended with exit code ${ending.code}: ${ending.stderr.slice(-2000)}`);
  }
}

/** @returns undefined if all running phases have reached their number of kills */
function strike(supervisor: number, options: KillOptions, before: readonly Kill[]): Kill | undefined {
  const { random } = options;
  const running = phasesUnder(supervisor);
  const candidates = running.length === 0 ? [undefined] : running;
  const due = candidates.filter(
    (one) => before.filter(({ phase }) => phase === (one?.phase ?? null)).length < options.killsPerPhase,
  );
  if (due.length === 0) return undefined;
  const hit = due[random.integer(0, due.length - 1)];
  const target = hit === undefined ? 'supervisor' : TARGETS[random.integer(0, TARGETS.length - 1)];
  if (target === 'phase') kill(hit?.pid as number);
  else kill(supervisor);
  if (target === 'both') for (const { pid } of running) kill(pid);
  if (hit === undefined) return { phase: null, target, inCheckpoint: false, step: 0 };
  const folder = runFolder(options.runDir).phase(hit.phase);
  return {
    phase: hit.phase,
    target,
    inCheckpoint: target !== 'supervisor' && hasTemporary(join(folder.root, 'checkpoints')),
    step: readMetrics(folder.metrics).at(-1)?.step ?? 0,
  };
}

function hasTemporary(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).some((name) => name.startsWith('.tmp-'));
}
