import { z } from 'zod';
import { InputError } from '../base/errors.js';
import type { OpenFile } from '../checkpoint/file-bytes.js';
import { type ReadAt, type TarEntry, tarEntries, windowReader } from './tar.js';

/** Where the images of one tar file are: image `i` is `bytes[i]` bytes from `starts[i]`. */
export interface ShardIndex {
  readonly names: readonly string[];
  readonly starts: readonly number[];
  readonly bytes: readonly number[];
  readonly labels: readonly number[];
}

/** What a sample of WebDataset consists of: neighbouring files whose names are equal up to the first dot. */
interface Sample {
  readonly key: string;
  image?: TarEntry;
  /** Its content, a number. */
  cls?: string;
  json?: TarEntry;
}

const IMAGE_EXTENSIONS = new Set(['jpg', 'jpeg', 'png']);

/** Above it a label is damage; no data set has as many classes. */
const MOST_CLASSES = 1_000_000;
const MOST_JSON_BYTES = 2 ** 20;

/**
 * The images and labels of an open shard in WebDataset's layout: `<key>.jpg` (or jpeg, png) beside `<key>.cls` (a
 * number) or `<key>.json` (with a number `label`). Samples without either are passed over, as are other files.
 *
 * @throws InputError as `tarEntries`, and if an image has no label or two, or a label no image.
 */
export function shardSamples(file: OpenFile): ShardIndex {
  const read = windowReader(file);
  const index = {
    names: [] as string[],
    starts: [] as number[],
    bytes: [] as number[],
    labels: [] as number[],
  };
  let sample: Sample | undefined;
  for (const entry of tarEntries(file, read)) {
    const { key, extension } = splitName(entry.name);
    if (sample === undefined || sample.key !== key) {
      if (sample !== undefined) put(index, sample, file.path, read);
      sample = { key };
    }
    take(sample, extension, entry, file.path, read);
  }
  if (sample !== undefined) put(index, sample, file.path, read);
  return index;
}

/** Names are split at the first dot of their last part, as WebDataset does. */
function splitName(name: string): { key: string; extension: string } {
  const dot = name.indexOf('.', name.lastIndexOf('/') + 1);
  return dot < 0
    ? { key: name, extension: '' }
    : { key: name.slice(0, dot), extension: name.slice(dot + 1).toLowerCase() };
}

function take(sample: Sample, extension: string, entry: TarEntry, path: string, read: ReadAt): void {
  if (IMAGE_EXTENSIONS.has(extension)) {
    if (sample.image !== undefined) throw wrong(path, sample.key, 'has two images');
    sample.image = entry;
  } else if (extension === 'cls') {
    if (sample.cls !== undefined) throw wrong(path, sample.key, 'has two labels');
    sample.cls = entry.size > 64 ? 'too long' : read(entry.start, entry.size).toString('utf8');
  } else if (extension === 'json') {
    sample.json = entry;
  }
}

function put(index: Record<keyof ShardIndex, unknown[]>, sample: Sample, path: string, read: ReadAt): void {
  const { key, image, cls, json } = sample;
  if (image === undefined) {
    if (cls === undefined) return;
    throw wrong(path, key, 'has a label and no image');
  }
  if (image.size > 0xffffffff) throw wrong(path, key, `has an image of ${image.size} bytes`);
  const label = cls === undefined ? labelInJson(json, read) : labelInText(cls);
  if (label === undefined) {
    const what =
      cls === undefined && json === undefined ? 'has no label' : 'has a label that is no class number';
    throw wrong(path, key, what);
  }
  index.names.push(image.name);
  index.starts.push(image.start);
  index.bytes.push(image.size);
  index.labels.push(label);
}

function labelInText(text: string): number | undefined {
  const digits = /^\s*(\d{1,6})\s*$/.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

const labelled = z.object({
  label: z
    .int()
    .min(0)
    .max(MOST_CLASSES - 1),
});

function labelInJson(entry: TarEntry | undefined, read: ReadAt): number | undefined {
  if (entry === undefined || entry.size > MOST_JSON_BYTES) return undefined;
  try {
    return labelled.safeParse(JSON.parse(read(entry.start, entry.size).toString('utf8'))).data?.label;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function wrong(path: string, key: string, what: string): InputError {
  return new InputError(`${path}: sample ${JSON.stringify(key.slice(0, 100))} ${what}`, {
    hint: 'A sample is <key>.jpg (or png) and <key>.cls, or <key>.json with a label, one beside the other; labels count from 0.',
  });
}
