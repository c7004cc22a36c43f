import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import { type DataIdentity, type DataPlace, imageList, type Part } from '../../data/open/identity.js';
import type { DatasetPair } from '../../data/open/open-dataset.js';
import { writeFileAtomic, writeJsonAtomic } from '../../files/atomic.js';
import { readSmall } from '../../files/small-file.js';
import type { DataOwner } from '../../recipe/phase.js';
import { readJson, runFolder } from '../../run/run-folder.js';

const count = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const split = z.object({ images: count, bytes: count, per_class: z.array(count), digest: sha256 });
const identity = z.object({ classes: z.array(z.string()), train: split, val: split, digest: sha256 });

/** A change of the images that the user has accepted. */
export interface DataChange {
  /** When it was accepted. */
  readonly time: string;
  readonly of: string;
  /** The changes, one sentence each. */
  readonly changes: readonly string[];
  /** Digest of the previous images. */
  readonly before: string;
  readonly after: string;
}

/** Contents of `data.json`, which describes a run's images. */
export interface RunData extends DataIdentity {
  readonly format: 1;
  /** Modules with their own image folder, by number. */
  readonly modules: Readonly<Record<string, DataIdentity>>;
  readonly changes: readonly DataChange[];
}

const changeSchema = z.object({
  time: z.string(),
  of: z.string(),
  changes: z.array(z.string()),
  before: sha256,
  after: sha256,
});

const runDataSchema: z.ZodType<RunData> = identity.extend({
  format: z.literal(1),
  modules: z.record(z.string(), identity).default({}),
  changes: z.array(changeSchema).default([]),
});

/**
 * The recorded images of a run; undefined for runs of older versions, which did not record them.
 * @throws InputError if the file is damaged
 */
export function readRunData(runDir: string): RunData | undefined {
  const { data: path } = runFolder(runDir);
  if (!existsSync(path)) return undefined;
  const result = runDataSchema.safeParse(readJson(path));
  if (result.success) return result.data;
  const { path: key, message } = result.error.issues[0];
  throw new InputError(`${path}: ${key.join('.')}: ${message}`, {
    hint: 'restore the file; or delete it: the current images are then recorded as those of the run',
  });
}

export function identityOf(data: RunData | undefined, owner: DataOwner): DataIdentity | undefined {
  return owner === 'run' ? data : data?.modules[owner.slice('MT/'.length)];
}

/** Records the images of an owner, and the accepted change if there is one. */
export function recordData(
  runDir: string,
  owner: DataOwner,
  now: { readonly identity: DataIdentity; readonly whole: DatasetPair; readonly place: DataPlace },
  accepted?: DataChange,
): void {
  for (const part of ['train', 'val'] as const) {
    if (now.identity[part].images > MOST_LISTED) continue;
    writeFileAtomic(listPath(runDir, owner, part), imageList(now.whole[part], now.place));
  }
  const before = readRunData(runDir);
  const { classes, train, val, digest } = now.identity;
  const own = { classes, train, val, digest };
  const modules = { ...before?.modules, ...(owner !== 'run' && { [owner.slice('MT/'.length)]: own }) };
  const ofRun = owner === 'run' ? own : before;
  if (ofRun === undefined) return;
  const changes = [...(before?.changes ?? []), ...(accepted ? [accepted] : [])];
  // The lists were written first, so that the images recorded in data.json are always listed.
  const data: RunData = { format: 1, ...ofRun, modules, changes };
  writeJsonAtomic(runFolder(runDir).data, data);
}

/** Records an accepted change that does not alter the images of the run. */
export function recordChange(runDir: string, change: DataChange): void {
  const before = readRunData(runDir);
  if (before === undefined) return;
  const data: RunData = { ...before, changes: [...before.changes, change] };
  writeJsonAtomic(runFolder(runDir).data, data);
}

/** Enough for four million names. */
const MOST_LIST = 2 ** 30;

/** Longer lists need too much memory to compare. */
const MOST_LISTED = 4_000_000;

/** The list of a split, in the format of `imageList`. */
export function readList(runDir: string, owner: DataOwner, part: Part): Uint8Array | undefined {
  const path = listPath(runDir, owner, part);
  return existsSync(path) ? readSmall(path, MOST_LIST) : undefined;
}

function listPath(runDir: string, owner: DataOwner, part: Part): string {
  const whose = owner === 'run' ? '' : `${owner.replace('/', '-')}-`;
  return join(runFolder(runDir).imageLists, `${whose}${part}.txt.gz`);
}
