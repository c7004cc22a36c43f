import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { RunError } from '../../src/base/errors.js';
import type { Case } from './cases.js';

/** A request to a worker, one JSON object per line; each is answered with one line. */
export type Request =
  | { readonly cmd: 'engine' }
  /** Writes initial weights, images and labels. */
  | { readonly cmd: 'prepare'; readonly case: Case; readonly path: string }
  | {
      readonly cmd: 'load';
      readonly case: Case & { readonly tensors: string; readonly undecayed: readonly string[] };
    }
  /** Runs `n` training steps and times each. */
  | { readonly cmd: 'steps'; readonly n: number };

export interface Steps {
  readonly ms: readonly number[];
  /** Processor time of all threads of the process, including spinning. */
  readonly cpuMs: readonly number[];
  readonly losses: readonly number[];
}

/** A process that trains on request and sleeps in between. */
export interface Worker {
  readonly name: string;
  ask<Answer>(request: Request): Promise<Answer>;
  /** Processor seconds used so far. */
  cpuSeconds(): number;
  end(): void;
}

export function startWorker(
  name: string,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Worker {
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  // A worker that has exited is detected at the end of its output.
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    name,
    async ask<Answer>(request: Request) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new RunError(`the worker "${name}" ended at ${request.cmd}:\n${errors.trim()}`);
      return JSON.parse(value) as Answer;
    },
    cpuSeconds: () => cpuSeconds(child),
    end: () => child.stdin.end(),
  };
}

/** Reads /proc/<pid>/stat, which counts in hundredths of a second. */
function cpuSeconds({ pid }: ChildProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
