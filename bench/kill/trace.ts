import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { phasesIn, readJson, runFolder } from '../../src/run/run-folder.js';

/** The results of a finished run, without values that depend on the clock or on the number of resumes. */
export type Trace = ReadonlyMap<string, unknown>;

/** Fields that contain times and memory sizes. */
const CLOCK_FIELDS = new Set(['seconds', 'images_per_second', 'data_wait', 'memory_bytes', 'time']);

/**
 * Results by name: the summary, and for each phase its result, its metrics records, and hashes of the weight and optimiser files
 * of its latest and best checkpoints.
 */
export function traceOf(runDir: string): Trace {
  const folder = runFolder(runDir);
  const trace = new Map([['summary', untimed(readJson(folder.summary))]]);
  for (const name of phasesIn(runDir)) {
    const phase = folder.phase(name);
    trace.set(`${name} result`, untimed(readJson(phase.result)));
    const lines = readFileSync(phase.metrics, 'utf8').trimEnd().split('\n');
    trace.set(
      `${name} metrics`,
      lines.map((line) => untimed(JSON.parse(line))),
    );
    for (const pointer of ['latest', 'best']) {
      const step = pointed(join(phase.root, 'checkpoints', pointer));
      trace.set(`${name} ${pointer}`, step);
      for (const file of ['model', 'optimizer']) {
        const path = join(phase.root, 'checkpoints', String(step), `${file}.safetensors`);
        trace.set(`${name} ${pointer} ${file}`, existsSync(path) ? hash(path) : undefined);
      }
    }
  }
  return trace;
}

/** The names of entries that differ between two traces. */
export function differences(a: Trace, b: Trace): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter(
    (name) => !isDeepStrictEqual(a.get(name), b.get(name)),
  );
}

function untimed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(untimed);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !CLOCK_FIELDS.has(key));
  return Object.fromEntries(kept.map(([key, inner]) => [key, untimed(inner)]));
}

function pointed(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
}

function hash(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
