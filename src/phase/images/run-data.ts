import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { type DataIdentity, dataIdentity, imageList, type Part } from '../../data/open/identity.js';
import { type DataDifference, dataDifference } from '../../data/open/identity-difference.js';
import type { DatasetPair } from '../../data/open/open-dataset.js';
import { dataHash, lineageIn } from '../../recipe/lineage.js';
import type { DataOwner, PhaseName } from '../../recipe/phase.js';
import { newestManifest } from '../../run/checkpoint-store.js';
import { hasBegun, phasesIn, readJson, runFolder } from '../../run/run-folder.js';
import {
  type ImageSettings,
  type Images,
  imagesOf,
  openAnyClasses,
  openImagesOf,
  placeOf,
  type RunImageSettings,
  settingsOf,
} from './images.js';
import { type DataChange, identityOf, readList, readRunData, recordData } from './run-data-file.js';

interface DataCheck {
  /** Accept images that differ from those that the run was trained on. Default false. */
  readonly acceptChange?: boolean | undefined;
  /** Called with notes for the user about the images. */
  readonly note?: ((line: string) => void) | undefined;
  /** Whether something has been trained on the recorded images. Default: whether there are checkpoints. */
  readonly isBegun?: boolean;
}

/** Images that match those of the run, or whose change was accepted. */
export interface CheckedImages {
  readonly images: Images;
  readonly identity: DataIdentity;
  /** Records the images if they are new or their change was accepted. */
  readonly record: () => void;
}

/** Whether anything has been trained on the images of an owner. */
export function isOwnerBegun(runDir: string, owner: DataOwner): boolean {
  if (owner === 'run') return hasBegun(runDir);
  return existsSync(join(runFolder(runDir).phase(owner).root, 'checkpoints'));
}

/**
 * Opens the images of a run and compares them with those that it was trained on. The first time, and until something has
 * been trained, `record` records them as the run's images. If there are several processes, only one of them calls this.
 * @param run a phase of it has these settings
 * @throws InputError naming the differences, unless the change is accepted: then `record` records it, and labels stay with
 *   their classes
 */
export function checkedImages(
  run: RunImageSettings,
  runDir: string,
  owner: DataOwner,
  check: DataCheck = {},
): CheckedImages {
  const { isBegun = isOwnerBegun(runDir, owner), note = () => {} } = check;
  if (owner !== 'run' && readRunData(runDir) === undefined)
    checkedImages(run, runDir, 'run', { acceptChange: check.acceptChange, note }).record();
  const own = settingsOf(run, owner);
  const known = readRunData(runDir);
  const before = identityOf(known, owner);
  const order = (isBegun ? before?.classes : undefined) ?? known?.classes;
  if (before === undefined || !isBegun) {
    const found = identified(own, openInOrder(own, isBegun || owner !== 'run' ? order : undefined));
    if (before?.digest === found.identity.digest) return { ...found, record: () => {} };
    if (isBegun && known === undefined) {
      requireLineage(run, runDir, check);
      note(
        `assumed: the images are those that the run began with: ${runFolder(runDir).data} was missing and is recorded now`,
      );
    }
    return { ...found, record: () => record(runDir, owner, own, found) };
  }
  const found = openedAgain(own, runDir, owner, before);
  if (found.identity.digest === before.digest) return { ...found, record: () => {} };
  const difference = differenceOf(own, runDir, owner, before, found);
  if (!check.acceptChange) throw changed(runDir, owner, [...difference.changes, ...difference.labels]);
  return accepted(own, { runDir, owner, before }, difference, note);
}

/** Opens the images with the recorded classes, for processes other than the one that has checked them. */
export function knownImages(run: RunImageSettings, runDir: string, owner: DataOwner): Images {
  const own = settingsOf(run, owner);
  const known = readRunData(runDir);
  return openInOrder(own, identityOf(known, owner)?.classes ?? known?.classes);
}

/**
 * The number of training images that a begun phase was planned with. Its schedule does not change when images are added.
 * @returns a function that returns undefined for a phase without a checkpoint
 */
export function imagesPlannedFor(runDir: string): (name: PhaseName) => number | undefined {
  const begun = phasesIn(runDir);
  return (name) => {
    if (!begun.includes(name)) return undefined;
    const manifest = newestManifest(runFolder(runDir).phase(name).root);
    return manifest && (plannedImages(manifest) ?? imagesInPlan(runDir, name));
  };
}

/** The number of training images in a checkpoint's manifest. */
function plannedImages(manifest: Readonly<Record<string, unknown>>): number | undefined {
  const { train_images: images } = Object(manifest.data);
  return Number.isSafeInteger(images) && images > 0 ? images : undefined;
}

/** The smallest number of images that results in the plan's number of steps per epoch. */
function imagesInPlan(runDir: string, name: PhaseName): number | undefined {
  try {
    const { phases } = Object(readJson(runFolder(runDir).plan));
    const { steps, images, steps_per_epoch } = phases.find((each: { phase: string }) => each.phase === name);
    const planned = (images / steps) * steps_per_epoch;
    return Number.isSafeInteger(planned) && planned > 0 ? planned : undefined;
  } catch {
    return undefined;
  }
}

type Found = Pick<CheckedImages, 'images' | 'identity'>;

function identified(own: ImageSettings, images: Images): Found {
  return { images, identity: dataIdentity(images.whole, placeOf(own)) };
}

/** In a folder of images or a CSV file, labels follow from the class names, so the classes keep the order that the run has given them. */
function openInOrder(own: ImageSettings, order: readonly string[] | undefined): Images {
  // If the recipe states the classes, the images may have fewer of them, and an accepted change may have changed their order.
  if (order !== undefined && own.data.classes !== undefined) return openImagesOf(own, order);
  const images = openImagesOf(own);
  if (order === undefined || !['folder', 'csv'].includes(own.data.format)) return images;
  const found = images.whole.train.classes.map((name) => name.normalize('NFC'));
  const isOtherOrder = found.some((name, label) => name !== order[label]);
  return isOtherOrder && order.every((name) => found.includes(name)) ? openImagesOf(own, order) : images;
}

/** Opens the images even if their classes do not fit, so that the error can list the differences. */
function openedAgain(own: ImageSettings, runDir: string, owner: DataOwner, before: DataIdentity): Found {
  try {
    return identified(own, openInOrder(own, before.classes));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const whole = openUnchecked(own);
    if (whole === undefined) throw error;
    const images = imagesOf(own, whole);
    const difference = differenceOf(own, runDir, owner, before, identified(own, images));
    if (difference.changes.length === 0) throw error;
    throw changed(runDir, owner, [...difference.changes, error.message]);
  }
}

function openUnchecked(own: ImageSettings): DatasetPair | undefined {
  try {
    return openAnyClasses(own);
  } catch {
    return undefined;
  }
}

function differenceOf(
  own: ImageSettings,
  runDir: string,
  owner: DataOwner,
  before: DataIdentity,
  { images, identity }: Found,
): DataDifference {
  const place = placeOf(own);
  return dataDifference(
    { identity: before, list: (split: Part) => readList(runDir, owner, split) },
    { identity, list: (split: Part) => imageList(images.whole[split], place) },
  );
}

function changed(runDir: string, owner: DataOwner, changes: readonly string[]): InputError {
  const whose = owner === 'run' ? runDir : `${runDir}, ${owner}`;
  return new InputError(`${whose}: the images are not those that it was trained on: ${changes.join('; ')}`, {
    hint: 'restore the images; or continue with these: --accept-data-change',
  });
}

function accepted(
  own: ImageSettings,
  { runDir, owner, before }: { runDir: string; owner: DataOwner; before: DataIdentity },
  { changes, labels, renamed }: DataDifference,
  note: (line: string) => void,
): CheckedImages {
  const order = before.classes.map((name) => renamed.get(name) ?? name);
  const found = identified(own, openInOrder(own, order));
  const { digest, classes } = found.identity;
  const isInOrder = classes.every((name, label) => name === order[label]);
  const kept = [...renamed.values()].map(
    (name) => `${JSON.stringify(name)} has label ${order.indexOf(name)}`,
  );
  const messages = [...changes, ...(isInOrder ? kept : labels)];
  const change: DataChange = {
    time: new Date().toISOString(),
    of: owner,
    changes: messages,
    before: before.digest,
    after: digest,
  };
  return {
    ...found,
    record() {
      record(runDir, owner, own, found, change);
      for (const line of messages) note(`accepted: ${line}`);
    },
  };
}

function record(
  runDir: string,
  owner: DataOwner,
  own: ImageSettings,
  found: Found,
  change?: DataChange,
): void {
  const { identity, images } = found;
  recordData(runDir, owner, { identity, whole: images.whole, place: placeOf(own) }, change);
}

/** Checks runs that are older than `data.json`: their checkpoints have a hash of the phase's training images. */
function requireLineage(
  run: RunImageSettings,
  runDir: string,
  { acceptChange, note = () => {} }: DataCheck,
): void {
  for (const name of phasesIn(runDir) as PhaseName[]) {
    const lineage = lineageIn(newestManifest(runFolder(runDir).phase(name).root) ?? {});
    if (lineage === undefined) continue;
    const { train } = openImagesOf(settingsOf(run, name));
    if (dataHash(train) === lineage.data) continue;
    const line = `${name} was trained on other training images; its checkpoints of an older version do not record which`;
    if (!acceptChange) throw changed(runDir, 'run', [line]);
    note(`accepted: ${line}`);
  }
}
