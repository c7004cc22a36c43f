import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { phasesIn, readJson, runFolder } from '../../src/run/run-folder.js';

/** What a finished run came to, without what depends on the clock or on how often it was resumed. */
export type Trace = ReadonlyMap<string, unknown>;

/** Fields that tell of time and memory. */
const OF_THE_CLOCK = new Set(['seconds', 'images_per_second', 'data_wait', 'memory_bytes']);

/**
 * By name: the summary, and of each phase its result, every record of its metrics, and the weights and optimiser state
 * of its last and its best checkpoint, as hashes of the files.
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

/** The names of what differs between two traces. */
export function differences(a: Trace, b: Trace): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter(
    (name) => !isDeepStrictEqual(a.get(name), b.get(name)),
  );
}

function untimed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(untimed);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !OF_THE_CLOCK.has(key));
  return Object.fromEntries(kept.map(([key, inner]) => [key, untimed(inner)]));
}

function pointed(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined;
}

function hash(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
