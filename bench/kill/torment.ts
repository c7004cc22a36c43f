import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunError } from '../../src/base/errors.js';
import type { RandomStream } from '../../src/base/random.js';
import { readMetrics } from '../../src/run/metrics-log.js';
import { runFolder } from '../../src/run/run-folder.js';
import { kill, phasesUnder } from './processes.js';

/** Ends of a run that say to start it again; the second while one lives on that a killed bench had started. */
const EXPECTED = /times in a row without a new checkpoint|is in use by process/;

const TARGETS = ['phase', 'supervisor', 'both'] as const;

/** A SIGKILL, and what it hit. */
export interface Kill {
  /** A phase whose process was there, this one's if one was killed; null before the first, between, and after. */
  readonly phase: string | null;
  readonly target: (typeof TARGETS)[number];
  /** A checkpoint was being written: its temporary folder was left. */
  readonly inCheckpoint: boolean;
  /** The last step that the killed phase had recorded; 0 before its first. */
  readonly step: number;
}

export interface TormentOptions {
  readonly runDir: string;
  /** Starts the run, or goes on with it. */
  readonly start: () => {
    readonly process: ChildProcess;
    readonly ended: Promise<{ code: number | null; stderr: string }>;
  };
  /** At most so many, and so many while each phase runs; then the run is left to end. */
  readonly kills: number;
  readonly killsAPhase: number;
  readonly random: RandomStream;
  /** Milliseconds, the longest time from a start or a kill to the next kill. */
  readonly longestMs: number;
  readonly onKill?: (kill: Kill) => void;
}

/**
 * Runs a run to its end, and on the way kills its processes at random instants: a phase's, the supervisor, or all of
 * them. The supervisor is started again each time.
 * @throws RunError where the run ends badly by itself, but for one that died too often without a new checkpoint
 */
export async function torment(options: TormentOptions): Promise<Kill[]> {
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

/** @returns nothing where the phases that run have had their kills */
function strike(supervisor: number, options: TormentOptions, before: readonly Kill[]): Kill | undefined {
  const { random } = options;
  const running = phasesUnder(supervisor);
  const candidates = running.length === 0 ? [undefined] : running;
  const due = candidates.filter(
    (one) => before.filter(({ phase }) => phase === (one?.phase ?? null)).length < options.killsAPhase,
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
