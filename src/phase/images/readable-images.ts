import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { z } from 'zod';
import { errorText, InputError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { checkImage } from '../../data/check/check-image.js';
import { type Dataset, isEncoded } from '../../data/dataset.js';
import type { FixedTransform } from '../../data/transforms/transform.js';
import { writeJsonAtomic } from '../../files/atomic.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { runFolder } from '../../run/run-folder.js';
import { setImageThreads } from '../../torch/images.js';
import { type Images, placeOf, recipeOfPhase } from './images.js';
import { dataOwners, knownImages } from './run-data.js';
import { type DataOwner, identityOf, readRunData } from './run-data-file.js';

export interface ReadableOptions {
  /** Called after each image: how many are done, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Decodes every image to evaluate on once, before anything is trained: the first evaluation would fail on a damaged one
 * after an epoch. The run folder remembers which images were checked (`data/readable.json`), so that the same are not
 * decoded again. It takes as long as one evaluation's decoding, with the memory of the images that are decoded at a time.
 *
 * @throws InputError naming images that cannot be read, or evaluated
 */
export async function requireReadableImages(
  recipe: Recipe,
  runDir: string,
  options: ReadableOptions = {},
): Promise<void> {
  for (const owner of dataOwners(recipe)) {
    if (isKnown(recipe, runDir, owner)) continue;
    await requireReadable(recipe, runDir, owner, knownImages(recipe, runDir, owner), options);
  }
}

/** The same of one owner, whose images are open. */
export async function requireReadable(
  recipe: Recipe,
  runDir: string,
  owner: DataOwner,
  { val, evalTransform }: Pick<Images, 'val' | 'evalTransform'>,
  { onProgress = () => {} }: ReadableOptions = {},
): Promise<void> {
  if (val.length === 0 || !isEncoded(val.source(0)) || isKnown(recipe, runDir, owner)) return;
  setImageThreads(recipe.run.workers === 'auto' ? availableParallelism() : recipe.run.workers);
  const found = await unreadable(val, evalTransform, onProgress);
  if (found.length > 0) throw unreadableImages(found, val.length, placeOf(recipeOfPhase(recipe, owner)).path);
  remember(recipe, runDir, owner);
}

interface Found {
  readonly index: number;
  readonly text: string;
}

async function unreadable(
  dataset: Dataset,
  transform: FixedTransform,
  onProgress: (done: number, total: number) => void,
): Promise<Found[]> {
  const found: Found[] = [];
  let next = 0;
  let done = 0;
  const worker = async () => {
    for (let index = next++; index < dataset.length; index = next++) {
      const source = dataset.source(index);
      try {
        if (isEncoded(source)) transform(await checkImage(source));
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        found.push({ index, text: `${dataset.describe(index)} (${errorText(error)})` });
      }
      onProgress(++done, dataset.length);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() + 2 }, worker));
  return found.sort((a, b) => a.index - b.index);
}

const MOST_NAMED = 5;

function unreadableImages(found: readonly Found[], total: number, path: string | undefined): InputError {
  const named = found.slice(0, MOST_NAMED).map(({ text }) => text);
  const more = found.length > named.length ? ', ...' : '';
  return new InputError(
    `${found.length} of the ${total} images to evaluate on cannot be read: ${named.join(', ')}${more}`,
    {
      hint: `Restore the files or remove them. To list everything that is wrong: ${ownCommand('data', 'check', path ?? '.')}`,
    },
  );
}

const readableSchema = z.record(z.string(), z.string());

function readKnown(runDir: string): Record<string, string> {
  const { readable: path } = runFolder(runDir);
  if (!existsSync(path)) return {};
  try {
    return readableSchema.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data ?? {};
  } catch {
    // Without it the images are checked again.
    return {};
  }
}

function isKnown(recipe: Recipe, runDir: string, owner: DataOwner): boolean {
  const key = keyOf(recipe, runDir, owner);
  return key !== undefined && readKnown(runDir)[owner] === key;
}

function remember(recipe: Recipe, runDir: string, owner: DataOwner): void {
  const key = keyOf(recipe, runDir, owner);
  if (key === undefined) return;
  const { readable: path } = runFolder(runDir);
  mkdirSync(dirname(path), { recursive: true });
  writeJsonAtomic(path, { ...readKnown(runDir), [owner]: key });
}

/** Of the images that are recorded, and all that says which are read, and how. */
function keyOf({ data, model }: Recipe, runDir: string, owner: DataOwner): string | undefined {
  const digest = identityOf(readRunData(runDir), owner)?.val.digest;
  if (digest === undefined) return undefined;
  const { eval_images, eval_crop, exif, grey16 } = data;
  const how = { digest, eval_images, eval_crop, exif, grey16, image_size: model.image_size };
  return createHash('sha256').update(JSON.stringify(how)).digest('hex');
}
