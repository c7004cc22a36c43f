import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { z } from 'zod';
import { errorText, InputError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { checkImage } from '../../data/check/data-check-read.js';
import { type Dataset, type EncodedImage, isEncoded } from '../../data/dataset.js';
import type { FixedTransform } from '../../data/transforms/transform.js';
import { writeJsonAtomic } from '../../files/atomic.js';
import type { DataOwner, Phase } from '../../recipe/phase.js';
import { runFolder } from '../../run/run-folder.js';
import { setImageThreads } from '../../torch/images.js';
import { type EvaluationBatches, type Images, placeOf, type RunImageSettings, settingsOf } from './images.js';
import { knownImages } from './run-data.js';
import { identityOf, readRunData } from './run-data-file.js';

/** What determines which evaluation images are decoded, and how. A phase of the run has it. */
type Decoding = RunImageSettings & Pick<Phase, 'run'>;

interface ReadableOptions {
  /** Called after each image with the number of checked images and the total. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Decodes every evaluation image once before training, so that a damaged image is not found only at the first evaluation,
 * after an epoch. `data/readable.json` in the run folder records which images were checked, so that they are not decoded
 * again. Takes as long as the decoding in one evaluation, and as much memory as the images decoded at the same time.
 *
 * @throws InputError naming images that cannot be read or do not fit the model
 */
export async function requireReadableImages(
  run: Decoding,
  runDir: string,
  options: ReadableOptions = {},
): Promise<void> {
  for (const owner of run.dataOfRun.owners) {
    if (isKnown(run, runDir, owner)) continue;
    await requireReadable(run, runDir, owner, knownImages(run, runDir, owner), options);
  }
}

/** Like `requireReadableImages`, for one owner whose images are already open. */
export async function requireReadable(
  run: Decoding,
  runDir: string,
  owner: DataOwner,
  { val, evaluation }: Pick<Images, 'val' | 'evaluation'>,
  { onProgress = () => {} }: ReadableOptions = {},
): Promise<void> {
  if (val.length === 0 || !isEncoded(val.source(0)) || isKnown(run, runDir, owner)) return;
  const { workers } = run.run;
  setImageThreads(workers === 'auto' ? availableParallelism() : workers);
  const found = await unusable(val, evaluation, onProgress);
  if (found.length > 0) throw unusableImages(found, val.length, placeOf(settingsOf(run, owner)).path);
  remember(run, runDir, owner);
}

/** An image that cannot be used for evaluation. */
interface Found {
  readonly index: number;
  /** The image's file or entry, and why it cannot be used. */
  readonly name: string;
  readonly reason: string;
  /** Set if the image is readable but does not fit the model, with the hint of the transform's error. */
  readonly unfit?: { readonly hint: string | undefined };
}

async function unusable(
  dataset: Dataset,
  { transform = () => [], makeBatch }: EvaluationBatches,
  onProgress: (done: number, total: number) => void,
): Promise<Found[]> {
  const found: Found[] = [];
  let next = 0;
  let done = 0;
  const worker = async () => {
    for (let index = next++; index < dataset.length; index = next++) {
      const source = dataset.source(index);
      const problem = isEncoded(source)
        ? ((await problemOf(source, transform)) ?? (await problemOfBatch(dataset, index, makeBatch)))
        : undefined;
      if (problem !== undefined) {
        const { error, isRead } = problem;
        const why = { name: dataset.describe(index), reason: errorText(error) };
        found.push({ index, ...why, ...(isRead && { unfit: { hint: error.hint } }) });
      }
      onProgress(++done, dataset.length);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() + 2 }, worker));
  return found.sort((a, b) => a.index - b.index);
}

/** The error if an image cannot be read or transformed; undefined if it is usable. */
async function problemOf(
  source: EncodedImage,
  transform: FixedTransform,
): Promise<{ readonly error: InputError; readonly isRead: boolean } | undefined> {
  let isRead = false;
  try {
    const size = await checkImage(source);
    isRead = true;
    transform(size);
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return { error, isRead };
    throw error;
  }
}

/** The error if the batch of an image cannot be made, such as that of an image with an invalid label map. */
async function problemOfBatch(
  dataset: Dataset,
  index: number,
  makeBatch: EvaluationBatches['makeBatch'],
): Promise<{ readonly error: InputError; readonly isRead: boolean } | undefined> {
  try {
    await makeBatch?.(dataset, Int32Array.of(index), new AbortController().signal);
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return { error, isRead: true };
    throw error;
  }
}

const MOST_NAMED = 5;

function unusableImages(found: readonly Found[], total: number, path: string | undefined): InputError {
  const unfit = found.filter((each) => each.unfit !== undefined);
  const unreadable = found.filter((each) => each.unfit === undefined);
  const parts = [
    { some: unreadable, what: 'cannot be read' },
    { some: unfit, what: 'do not fit the model' },
  ].filter(({ some }) => some.length > 0);
  const texts = parts.map(
    ({ some, what }) => `${some.length} of the ${total} evaluation images ${what}: ${namedOf(some)}`,
  );
  const check = `To list all problems: ${ownCommand('data', 'check', path ?? '.')}`;
  const hints = new Set(unfit.flatMap(({ unfit }) => unfit?.hint ?? []));
  return new InputError(texts.join('; '), {
    hint: [...(unreadable.length > 0 ? [`Restore the files or remove them. ${check}`] : []), ...hints].join(
      ' ',
    ),
  });
}

/** The first images by reason: `a.jpg, b.jpg (reason), c.jpg (another reason), ...`. */
function namedOf(found: readonly Found[]): string {
  const byReason = new Map<string, string[]>();
  for (const { name, reason } of found.slice(0, MOST_NAMED)) {
    byReason.set(reason, [...(byReason.get(reason) ?? []), name]);
  }
  const named = Array.from(byReason, ([reason, names]) => `${names.join(', ')} (${reason})`);
  return [...named, ...(found.length > MOST_NAMED ? ['...'] : [])].join(', ');
}

const readableSchema = z.record(z.string(), z.string());

function readKnown(runDir: string): Record<string, string> {
  const { readable: path } = runFolder(runDir);
  if (!existsSync(path)) return {};
  try {
    return readableSchema.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data ?? {};
  } catch {
    // Without the record, the images are checked again.
    return {};
  }
}

function isKnown(run: Decoding, runDir: string, owner: DataOwner): boolean {
  const key = keyOf(run, runDir, owner);
  return key !== undefined && readKnown(runDir)[owner] === key;
}

function remember(run: Decoding, runDir: string, owner: DataOwner): void {
  const key = keyOf(run, runDir, owner);
  if (key === undefined) return;
  const { readable: path } = runFolder(runDir);
  mkdirSync(dirname(path), { recursive: true });
  writeJsonAtomic(path, { ...readKnown(runDir), [owner]: key });
}

/** Hash of the recorded images and of all settings that determine which images are read, and how. */
function keyOf({ dataOfRun, model }: Decoding, runDir: string, owner: DataOwner): string | undefined {
  const digest = identityOf(readRunData(runDir), owner)?.val.digest;
  if (digest === undefined) return undefined;
  const { eval_images, eval_crop, exif, grey16 } = dataOfRun.run;
  const how = { digest, eval_images, eval_crop, exif, grey16, image_size: model.image_size };
  return createHash('sha256').update(JSON.stringify(how)).digest('hex');
}
