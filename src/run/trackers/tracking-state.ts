import { randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { writeJsonAtomic } from '../../files/atomic.js';
import { readJsonObject, runFolder } from '../run-folder.js';
import { flattened } from '../tensorboard/events.js';
import { type DurableRecords, markOf } from './durable-records.js';
import type { Tracker } from './tracker.js';

const sentSchema = z.object({
  /** Number of records, the first of the phase, that the tracker has. */
  records: z.int(),
  /** `markOf` the last of them. */
  last: z.string(),
});

const schema = z.object({
  /** `Tracker.place`. */
  place: z.record(z.string(), z.string()),
  id: z.string(),
  /** The id of the run in the tracker; null until the tracker has answered. */
  key: z.string().nullable(),
  name: z.string(),
  started: z.number(),
  settings: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  tags: z.record(z.string(), z.string()),
  /** By phase. */
  sent: z.record(z.string(), sentSchema),
});

/** What a tracker has of a run: `trackers/<kind>/state.json` in the run folder. */
export type TrackingState = z.infer<typeof schema>;

/** The folder in which a run keeps the state of one tracker. */
export function trackerFolder(runDir: string, kind: string): string {
  return join(runDir, 'trackers', kind);
}

const statePath = (runDir: string, kind: string) => join(trackerFolder(runDir, kind), 'state.json');

export function readTracking(runDir: string, kind: string): TrackingState | undefined {
  const path = statePath(runDir, kind);
  return existsSync(path) ? schema.safeParse(readJsonObject(path)).data : undefined;
}

export function writeTracking(runDir: string, kind: string, state: TrackingState): void {
  writeJsonAtomic(statePath(runDir, kind), state, { makesFolder: false });
}

/** The state of a run of which the tracker has nothing yet. */
export function newTracking(runDir: string, tracker: Tracker): TrackingState {
  const path = runFolder(runDir).recipe;
  const recipe = readJsonObject(path);
  const settings = Object.fromEntries(flattened(recipe));
  const { name, seed } = settings;
  return {
    place: tracker.place,
    id: randomUUID(),
    key: null,
    name: basename(resolve(runDir)),
    started: Math.round(statSync(path).mtimeMs),
    settings,
    tags: { program: 'deep-incubation', recipe: String(name), seed: String(seed) },
    sent: {},
  };
}

/** Why a tracker's run cannot be continued; undefined if it can. */
export function whyNot(
  state: TrackingState,
  tracker: Tracker,
  phases: readonly DurableRecords[],
): string | undefined {
  if (!isDeepStrictEqual(state.place, tracker.place)) return 'the last one is in another place';
  const changed = phases.find(({ phase, records }) => !continues(state.sent[phase], records));
  return changed && `${changed.phase} was trained again`;
}

/** Whether the records begin with those that were sent. */
function continues(
  sent: TrackingState['sent'][string] | undefined,
  records: DurableRecords['records'],
): boolean {
  if (sent === undefined || sent.records === 0) return true;
  const last = records.at(sent.records - 1);
  return records.length >= sent.records && last !== undefined && markOf(last) === sent.last;
}

/** The settings that differ from those that the tracker's run was opened with; 'null' for those that are gone. */
export function changedSettings(runDir: string, { settings }: TrackingState): TrackingState['settings'] {
  const now = Object.fromEntries(flattened(readJsonObject(runFolder(runDir).recipe)));
  const names = [...new Set([...Object.keys(settings), ...Object.keys(now)])];
  return Object.fromEntries(
    names.filter((name) => settings[name] !== now[name]).map((name) => [name, now[name] ?? 'null']),
  );
}
