import { createHash } from 'node:crypto';
import { newestStep } from '../checkpoint-store.js';
import { readMetrics } from '../metrics-log.js';
import type { MetricRecord } from '../records.js';
import { phasesIn, readResult, runFolder } from '../run-folder.js';
import type { TrackedRecord } from './tracker.js';

/** The records of a phase that no resume can change: those up to its newest checkpoint, or all if it is done. */
export interface DurableRecords {
  readonly phase: string;
  readonly records: readonly MetricRecord[];
}

/**
 * Reads the durable records of all phases. A phase that is resumed repeats the steps after its checkpoint, so their records are
 * not final.
 * @param isNew whether a phase may have more of them than before; others are not read
 */
export function durableRecords(
  runDir: string,
  isNew: (phase: string, step: number) => boolean = () => true,
): DurableRecords[] {
  return phasesIn(runDir).flatMap((phase) => {
    const { root, metrics } = runFolder(runDir).phase(phase);
    const isDone = readResult(runDir, phase) !== undefined;
    const step = isDone ? Number.POSITIVE_INFINITY : newestStep(root);
    if (step === 0 || !isNew(phase, step)) return [];
    return [{ phase, records: readMetrics(metrics).filter((record) => record.step <= step) }];
  });
}

/** What is not a value that changes from record to record. */
const NOT_VALUES: ReadonlySet<string> = new Set(['step', 'steps', 'time']);

/**
 * A record as a tracker gets it: every number but the step, the number of steps and the time.
 * @param started of the run; for records of older versions, which have no time
 */
export function trackedRecord(record: MetricRecord, phase: string, started: number): TrackedRecord {
  const { kind, step, seconds, time = started + Math.round(1000 * seconds) } = record;
  const part = kind === 'step' ? 'train' : 'eval';
  const values = Object.entries(record).flatMap(([name, value]) =>
    typeof value === 'number' && !NOT_VALUES.has(name) ? [[`${phase}/${part}/${name}`, value] as const] : [],
  );
  return { id: `${phase}/${part}/${step}`, step, time, values: Object.fromEntries(values) };
}

/** Identifies the content of a record. */
export function markOf(record: MetricRecord): string {
  return createHash('sha256').update(JSON.stringify(record)).digest('hex').slice(0, 16);
}
