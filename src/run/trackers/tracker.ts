import type { Status } from '../phase-status.js';
import type { Hparam } from '../tensorboard/events.js';

/** A run as a tracker shows it. */
export interface TrackedRun {
  /** Unique and constant: a tracker that already has a run with this id must not get a second one. */
  readonly id: string;
  readonly name: string;
  /** Start, in milliseconds since 1970. */
  readonly started: number;
  /** The recipe as a flat list. */
  readonly settings: Readonly<Record<string, Hparam>>;
  readonly tags: Readonly<Record<string, string>>;
}

/** The numbers of a record of `metrics.jsonl`, by the tracker's names: `PT/train/loss`, `FT/eval/loss`. */
export interface TrackedRecord {
  /** Unique in the run, and constant. */
  readonly id: string;
  readonly step: number;
  /** In milliseconds since 1970. */
  readonly time: number;
  readonly values: Readonly<Record<string, number>>;
}

/** A program with a server that collects the metrics of runs. Every call may be repeated: the result is the same. */
export interface Tracker {
  /** `mlflow`, `trackio`. */
  readonly kind: string;
  /** Its name and address, for messages. */
  readonly label: string;
  /** Identifies the server and the place of the run there. */
  readonly place: Readonly<Record<string, string>>;
  /** Makes the tracker's run unless it exists. Returns its id in the tracker. */
  open(run: TrackedRun, signal: AbortSignal): Promise<string>;
  /** Adds records with at most `MOST_VALUES` values to a run. */
  send(run: OpenRun, records: readonly TrackedRecord[], signal: AbortSignal): Promise<void>;
  /** Sets the state of a run, and the current values of settings that have changed since it was opened. */
  mark(run: OpenRun, mark: Mark, signal: AbortSignal): Promise<void>;
}

export interface OpenRun extends TrackedRun {
  /** Its id in the tracker. */
  readonly key: string;
}

interface Mark {
  readonly state: Status;
  readonly changed: Readonly<Record<string, Hparam>>;
}

/** MLflow's limit for the metrics of one request. */
export const MOST_VALUES = 1000;
