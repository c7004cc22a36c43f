import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { type DataIdentity, dataIdentity, imageList, type Part } from '../../data/open/identity.js';
import { type DataDifference, dataDifference } from '../../data/open/identity-difference.js';
import type { DatasetPair } from '../../data/open/open-dataset.js';
import { dataHash, lineageIn } from '../../recipe/lineage.js';
import type { PhaseName } from '../../recipe/phases.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { newestManifest } from '../../run/checkpoint-store.js';
import { hasBegun, phasesIn, readJson, runFolder } from '../../run/run-folder.js';
import { type Images, imagesOf, openAnyClasses, openImages, placeOf, recipeOfPhase } from './images.js';
import {
  type DataChange,
  type DataOwner,
  identityOf,
  readList,
  readRunData,
  recordData,
} from './run-data-file.js';

export interface DataCheck {
  /** Whether other images than the run was trained on are accepted. Default false. */
  readonly acceptChange?: boolean | undefined;
  /** Told what a person should know of them. */
  readonly note?: ((line: string) => void) | undefined;
  /** Whether there is something that was trained on the images that are recorded. Default: whether there are checkpoints. */
  readonly isBegun?: boolean;
}

/** Images that are those of the run. */
export interface CheckedImages {
  readonly images: Images;
  readonly identity: DataIdentity;
  /** Writes down what was found where it is new, or was accepted. */
  readonly record: () => void;
}

/** The parts of a run that have images of their own. */
export function dataOwners(recipe: Recipe): DataOwner[] {
  const modules = Object.entries(recipe.phases.modules ?? {});
  return [
    'run',
    ...modules.filter(([, own]) => own.data?.path !== undefined).map(([i]) => `MT/${Number(i)}` as const),
  ];
}

/** Whether anything has been trained on the images of an owner. */
export function isOwnerBegun(runDir: string, owner: DataOwner): boolean {
  if (owner === 'run') return hasBegun(runDir);
  return existsSync(join(runFolder(runDir).phase(owner).root, 'checkpoints'));
}

export function dataOwnerOf(recipe: Recipe, phase: PhaseName): DataOwner {
  return dataOwners(recipe).find((owner) => owner === phase) ?? 'run';
}

/**
 * Opens the images of a run and compares them with those that it was trained on. The first time, and as long as nothing has
 * been trained, they are to be recorded. Of several processes one calls it.
 * @param recipe of the run
 * @throws InputError naming what differs, unless the change is accepted: it is recorded then, and labels stay with their classes
 */
export function checkedImages(
  recipe: Recipe,
  runDir: string,
  owner: DataOwner,
  check: DataCheck = {},
): CheckedImages {
  const { isBegun = isOwnerBegun(runDir, owner), note = () => {} } = check;
  if (owner !== 'run' && readRunData(runDir) === undefined)
    checkedImages(recipe, runDir, 'run', { acceptChange: check.acceptChange, note }).record();
  const own = recipeOfPhase(recipe, owner);
  const known = readRunData(runDir);
  const before = identityOf(known, owner);
  const order = (isBegun ? before?.classes : undefined) ?? known?.classes;
  if (before === undefined || !isBegun) {
    const found = identified(own, openInOrder(own, isBegun || owner !== 'run' ? order : undefined));
    if (before?.digest === found.identity.digest) return { ...found, record: () => {} };
    if (isBegun && known === undefined) {
      requireLineage(recipe, runDir, check);
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

/** As the run knows them, for processes beside the one that has checked them. */
export function knownImages(recipe: Recipe, runDir: string, owner: DataOwner): Images {
  const own = recipeOfPhase(recipe, owner);
  const known = readRunData(runDir);
  return openInOrder(own, identityOf(known, owner)?.classes ?? known?.classes);
}

/**
 * With how many training images each phase was planned that has begun: its schedule stays when images are added.
 * @returns undefined for a phase that has no checkpoint
 */
export function imagesPlannedFor(runDir: string): (name: PhaseName) => number | undefined {
  const begun = phasesIn(runDir);
  return (name) => {
    if (!begun.includes(name)) return undefined;
    const manifest = newestManifest(runFolder(runDir).phase(name).root);
    return manifest && (plannedImages(manifest) ?? imagesInPlan(runDir, name));
  };
}

/** What a checkpoint's manifest says of the images. */
function plannedImages(manifest: Readonly<Record<string, unknown>>): number | undefined {
  const { train_images: images } = Object(manifest.data);
  return Number.isSafeInteger(images) && images > 0 ? images : undefined;
}

/** The fewest images with which a plan has as many steps an epoch. */
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

function identified(own: Recipe, images: Images): Found {
  return { images, identity: dataIdentity(images.whole, placeOf(own)) };
}

/** Labels follow from names in a folder of images: there the classes keep the order that the run has given them. */
function openInOrder(own: Recipe, order: readonly string[] | undefined): Images {
  // A recipe that states the classes may have fewer of them in its images, and another order since a change was accepted.
  if (order !== undefined && own.data.classes !== undefined) return openImages(own, order);
  const images = openImages(own);
  if (order === undefined || own.data.format !== 'folder') return images;
  const found = images.whole.train.classes.map((name) => name.normalize('NFC'));
  const isOtherOrder = found.some((name, label) => name !== order[label]);
  return isOtherOrder && order.every((name) => found.includes(name)) ? openImages(own, order) : images;
}

/** Images of other classes are opened too: what differs is to be told. */
function openedAgain(own: Recipe, runDir: string, owner: DataOwner, before: DataIdentity): Found {
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

function openUnchecked(own: Recipe): DatasetPair | undefined {
  try {
    return openAnyClasses(own);
  } catch {
    return undefined;
  }
}

function differenceOf(
  own: Recipe,
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
    hint: 'bring the images back; or go on with these: --accept-data-change',
  });
}

function accepted(
  own: Recipe,
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
  const told = [...changes, ...(isInOrder ? kept : labels)];
  const change: DataChange = {
    time: new Date().toISOString(),
    of: owner,
    changes: told,
    before: before.digest,
    after: digest,
  };
  return {
    ...found,
    record() {
      record(runDir, owner, own, found, change);
      for (const line of told) note(`accepted: ${line}`);
    },
  };
}

function record(runDir: string, owner: DataOwner, own: Recipe, found: Found, change?: DataChange): void {
  const { identity, images } = found;
  recordData(runDir, owner, { identity, whole: images.whole, place: placeOf(own) }, change);
}

/** Runs of before `data.json` have a hash of each phase's training images in its checkpoints. */
function requireLineage(recipe: Recipe, runDir: string, { acceptChange, note = () => {} }: DataCheck): void {
  for (const name of phasesIn(runDir) as PhaseName[]) {
    const lineage = lineageIn(newestManifest(runFolder(runDir).phase(name).root) ?? {});
    if (lineage === undefined) continue;
    const { train } = openImages(recipeOfPhase(recipe, name));
    if (dataHash(train) === lineage.data) continue;
    const line = `${name} was trained on other training images; its checkpoints, of an older version, do not say which`;
    if (!acceptChange) throw changed(runDir, 'run', [line]);
    note(`accepted: ${line}`);
  }
}
