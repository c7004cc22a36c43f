import { setTimeout as sleep } from 'node:timers/promises';
import { errorText } from '../../base/errors.js';
import { makeFolders } from '../../files/atomic.js';
import { lockFolder } from '../../files/folder-lock.js';
import type { Status } from '../phase-status.js';
import { type DurableRecords, durableRecords, markOf, trackedRecord } from './durable-records.js';
import { MOST_VALUES, type TrackedRecord, type Tracker } from './tracker.js';
import {
  changedSettings,
  newTracking,
  readTracking,
  type TrackingState,
  trackerFolder,
  whyNot,
  writeTracking,
} from './tracking-state.js';

/** Sends the records of one run to one tracker. */
export interface Upload {
  readonly tracker: Tracker;
  /**
   * Sends what is durable and was not sent, and then the state. Stops at the first failure; what was sent is recorded.
   * @throws RunError if the server cannot be reached or refuses
   */
  pass(state: Status, signal: AbortSignal): Promise<void>;
  /** Number of durable records that the tracker does not have. */
  unsent(): number;
  release(): void;
}

/**
 * Opens the upload of a run. Only one process at a time sends the records of a run to a tracker.
 * @param note called if the tracker gets a new run in place of an earlier one
 * @throws InputError naming the process that sends them
 */
export async function openUpload(
  runDir: string,
  tracker: Tracker,
  note: (line: string) => void,
): Promise<Upload> {
  const folder = trackerFolder(runDir, tracker.kind);
  makeFolders(folder);
  const lock = await lockFolder(folder);
  let tracking = readTracking(runDir, tracker.kind);
  /** The newest durable step of each phase whose records were all sent, so that its file is not read again. */
  const complete = new Map<string, number>();
  let marked: string | undefined;

  const save = (next: TrackingState): TrackingState => {
    writeTracking(runDir, tracker.kind, next);
    tracking = next;
    return next;
  };

  const current = (phases: readonly DurableRecords[]): TrackingState => {
    const reason = tracking && whyNot(tracking, tracker, phases);
    if (tracking !== undefined && reason === undefined) return tracking;
    if (reason !== undefined) note(`${tracker.label} gets a new run: ${reason}`);
    complete.clear();
    marked = undefined;
    // Saved before the tracker's run is made: if the answer is lost, the run is found by its id.
    return save(newTracking(runDir, tracker));
  };

  return {
    tracker,
    async pass(status, signal) {
      const steps = new Map<string, number>();
      const isNew = (phase: string, step: number) => {
        steps.set(phase, step);
        return complete.get(phase) !== step;
      };
      const before = tracking;
      const found = durableRecords(runDir, isNew);
      let state = current(found);
      const phases = state === before ? found : durableRecords(runDir, isNew);
      const key = state.key ?? (await tracker.open(state, signal));
      if (state.key === null) state = save({ ...state, key });
      for (const { phase, records } of phases) {
        const first = state.sent[phase]?.records ?? 0;
        for (const batch of batchesOf(records.slice(first), phase, state.started)) {
          await tracker.send({ ...state, key }, batch, signal);
          const count = (state.sent[phase]?.records ?? 0) + batch.length;
          const sent = { records: count, last: markOf(records[count - 1]) };
          state = save({ ...state, sent: { ...state.sent, [phase]: sent } });
        }
        complete.set(phase, steps.get(phase) as number);
      }
      const mark = { state: status, changed: changedSettings(runDir, state) };
      if (marked === JSON.stringify(mark)) return;
      await tracker.mark({ ...state, key }, mark, signal);
      marked = JSON.stringify(mark);
    },
    unsent() {
      const all = durableRecords(runDir);
      const sent = (phase: string) => tracking?.sent[phase]?.records ?? 0;
      return all.reduce((sum, { phase, records }) => sum + Math.max(0, records.length - sent(phase)), 0);
    },
    release: lock.release,
  };
}

/** Batches of at most `MOST_VALUES` values, at least one record each. */
function batchesOf(records: DurableRecords['records'], phase: string, started: number): TrackedRecord[][] {
  const batches: TrackedRecord[][] = [];
  let values = 0;
  for (const record of records) {
    const tracked = trackedRecord(record, phase, started);
    const count = Object.keys(tracked.values).length;
    if (batches.length === 0 || values + count > MOST_VALUES) {
      batches.push([]);
      values = 0;
    }
    batches[batches.length - 1].push(tracked);
    values += count;
  }
  return batches;
}

const INTERVAL_MS = 10_000;
/** Longest that a run waits for its trackers at its end. */
const LAST_MS = 30_000;

interface Following {
  /** When aborted, what is left is sent. */
  readonly end: AbortSignal;
  /** Whether the run is over, so that following ends too. */
  readonly isOver?: () => boolean;
  /** The state of the run. */
  readonly state: (isLast: boolean) => Status;
  readonly note: (line: string) => void;
}

/**
 * Sends records every ten seconds until the end. A server that fails is reported once, and tried again.
 * @throws RunError if what is left at the end could not be sent
 */
export async function follow(upload: Upload, { end, isOver, state, note }: Following): Promise<void> {
  const never = new AbortController().signal;
  let isReported = false;
  while (!end.aborted && !isOver?.()) {
    await upload.pass(state(false), never).then(
      () => {
        isReported = false;
      },
      (error) => {
        if (!isReported) note(`${errorText(error)}; the metrics are kept and sent later`);
        isReported = true;
      },
    );
    await sleep(INTERVAL_MS, undefined, { signal: end }).catch(() => {});
  }
  await upload.pass(state(true), AbortSignal.timeout(LAST_MS));
}
