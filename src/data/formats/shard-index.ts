import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { DeepIncubationError, errorText, InputError } from '../../base/errors.js';
import { writeFileAtomic } from '../../files/atomic.js';
import { type OpenFile, withFile } from '../../files/file-bytes.js';
import { readSmallText } from '../../files/small-file.js';
import { type ReadAt, type TarEntry, tarEntries, windowReader } from '../../files/tar.js';
import { IMAGE_FILE } from '../images/image-format.js';
import { type OnPassedOver, type PassedOver, passedOverTally } from '../passed-over.js';
import { extensionReason, hiddenReason } from './folder-layout.js';

const place = z.number().int().min(0);

/** Increase it if the content of an index, or the selection of files in it, changes. Other versions are rebuilt. */
const VERSION = 2;

const cachedSchema = z.object({
  version: z.literal(VERSION),
  path: z.string(),
  size: z.number(),
  modified: z.string(),
  names: z.array(z.string()),
  starts: z.array(place),
  bytes: z.array(place),
  labels: z.array(z.number().int()),
  labelNames: z.array(z.string()),
  passedOver: z.array(z.object({ reason: z.string(), count: place, examples: z.array(z.string()) })),
});

/**
 * The index of a shard. It comes from the cache if there is an entry with the same path, size and modification time. Otherwise
 * it is built from the shard's headers and labels, and written to the cache.
 *
 * @throws InputError if the file is missing, damaged, or not a shard.
 */
export function shardIndex(path: string, cacheFolder: string): ShardIndex {
  const of = identityOf(path);
  const cached = join(cacheFolder, `${createHash('sha256').update(of.path).digest('hex').slice(0, 32)}.json`);
  const known = readCached(cached, of);
  if (known !== undefined) return known;
  const index = withFile(path, shardSamples);
  try {
    writeFileAtomic(cached, JSON.stringify({ version: VERSION, ...of, ...index }));
  } catch (error) {
    // A failed write is ignored: without the cache, the next run builds the index again.
    if (!(error instanceof DeepIncubationError)) throw error;
  }
  return index;
}

type Identity = Pick<z.infer<typeof cachedSchema>, 'path' | 'size' | 'modified'>;

function identityOf(path: string): Identity {
  try {
    const { size, mtimeNs } = statSync(path, { bigint: true });
    return { path: resolve(path), size: Number(size), modified: String(mtimeNs) };
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${errorText(error)})`, {
      hint: 'Check the path.',
      cause: error,
    });
  }
}

/** Undefined if the cached index is missing, invalid, or belongs to another file. */
function readCached(cached: string, of: Identity): ShardIndex | undefined {
  if (!existsSync(cached)) return undefined;
  const { success, data } = cachedSchema.safeParse(parsed(cached));
  if (!success || data.path !== of.path || data.size !== of.size || data.modified !== of.modified) {
    return undefined;
  }
  const { names, starts, bytes, labels, labelNames, passedOver } = data;
  const isWhole =
    [starts, bytes, labels].every(({ length }) => length === names.length) &&
    starts.every((start, i) => start + bytes[i] <= of.size) &&
    labels.every((label) => label >= -labelNames.length);
  return isWhole ? { names, starts, bytes, labels, labelNames, passedOver } : undefined;
}

/** Enough for millions of names. */
const MOST_BYTES = 2 ** 29 - 25;

function parsed(file: string): unknown {
  try {
    return JSON.parse(readSmallText(file, MOST_BYTES));
  } catch {
    return undefined;
  }
}

/** Positions of the images in one tar file: image `i` has `bytes[i]` bytes from offset `starts[i]`. */
export interface ShardIndex {
  readonly names: readonly string[];
  readonly starts: readonly number[];
  readonly bytes: readonly number[];
  /** A label of at least 0; -1 - i stands for the class with the name `labelNames[i]`. */
  readonly labels: readonly number[];
  readonly labelNames: readonly string[];
  /** Files that are not part of a sample. */
  readonly passedOver: readonly PassedOver[];
}

/** A WebDataset sample: neighbouring files whose names are equal up to the first dot. */
interface Sample {
  readonly key: string;
  /** Images by extension, such as `jpg` or `input.jpg`. */
  readonly images: Map<string, TarEntry>;
  /** Content of the label file: a number or the name of a class. */
  cls?: string;
  json?: TarEntry;
}

/** If a sample has several images, the input has one of these names; other images are masks, depth maps, etc. */
const INPUT_NAMES = ['', 'input', 'image', 'img'];

/** A larger label is an error; no data set has this many classes. */
const MOST_CLASSES = 1_000_000;
/** A longer label is neither a number nor a name. */
const MOST_LABEL_BYTES = 256;
const MOST_JSON_BYTES = 2 ** 20;

/**
 * The images and labels of an open shard in WebDataset's layout: `<key>.jpg` (or another image format, or `<key>.input.jpg`) with
 * `<key>.cls` (a number, or the name of a class) or `<key>.json` (with a `label`, a number or a name). Samples with neither image
 * nor `.cls` are skipped, and so are other files, including those that macOS and pax add to archives.
 *
 * @throws InputError as `tarEntries`, and if an image has no label or two labels, or a label has no image.
 */
function shardSamples(file: OpenFile): ShardIndex {
  const read = windowReader(file);
  const tally = passedOverTally();
  const index: Building = { names: [], starts: [], bytes: [], labels: [], labelNames: new Map() };
  let sample: Sample | undefined;
  const close = () => {
    if (sample !== undefined) put(index, sample, { path: file.path, read, onPassedOver: tally.add });
  };
  for (const entry of tarEntries(file, read)) {
    const leftover = leftoverReason(entry.name);
    if (leftover !== undefined) {
      tally.add(leftover, `${file.path}: ${entry.name}`);
      continue;
    }
    const { key, extension } = splitName(entry.name);
    if (sample === undefined || sample.key !== key) {
      close();
      sample = { key, images: new Map() };
    }
    const isTaken = take(sample, extension, entry, file.path, read);
    if (!isTaken) tally.add(extensionReason(entry.name), `${file.path}: ${entry.name}`);
  }
  close();
  return { ...index, labelNames: [...index.labelNames.keys()], passedOver: tally.list() };
}

interface Building {
  readonly names: string[];
  readonly starts: number[];
  readonly bytes: number[];
  readonly labels: number[];
  /** Index of each name, in the order of first use. */
  readonly labelNames: Map<string, number>;
}

/** The reason to skip an entry that a program, not a person, added to the archive; otherwise undefined. */
function leftoverReason(name: string): string | undefined {
  const parts = name.split('/');
  if (parts.some((part) => /^PaxHeaders?(\.\d+)?$/.test(part))) return 'of the operating system';
  const hidden = parts.map(hiddenReason).find((reason) => reason !== undefined);
  return hidden;
}

/** Splits a name at the first dot of its last part, as in WebDataset. */
function splitName(name: string): { key: string; extension: string } {
  const dot = name.indexOf('.', name.lastIndexOf('/') + 1);
  return dot < 0
    ? { key: name, extension: '' }
    : { key: name.slice(0, dot), extension: name.slice(dot + 1).toLowerCase() };
}

/** Adds an entry to its sample. Returns false if it is not an image, a label or JSON. */
function take(sample: Sample, extension: string, entry: TarEntry, path: string, read: ReadAt): boolean {
  if (IMAGE_FILE.test(`.${extension}`)) {
    if (sample.images.has(extension)) throw wrong(path, sample.key, 'has two images');
    sample.images.set(extension, entry);
  } else if (extension === 'cls' || extension.endsWith('.cls')) {
    if (sample.cls !== undefined) throw wrong(path, sample.key, 'has two labels');
    sample.cls = entry.size > MOST_LABEL_BYTES ? '' : read(entry.start, entry.size).toString('utf8');
  } else if (extension === 'json') {
    sample.json = entry;
  } else {
    return false;
  }
  return true;
}

interface Place {
  readonly path: string;
  readonly read: ReadAt;
  readonly onPassedOver: OnPassedOver;
}

function put(index: Building, sample: Sample, { path, read, onPassedOver }: Place): void {
  const { key, cls, json } = sample;
  const image = imageOf(sample, path);
  if (image === undefined) {
    if (cls === undefined) return;
    throw wrong(path, key, 'has a label but no image');
  }
  for (const other of sample.images.values()) {
    if (other !== image) onPassedOver('additional images of a sample', `${path}: ${other.name}`);
  }
  if (image.size > 0xffffffff) throw wrong(path, key, `has an image of ${image.size} bytes`);
  const label =
    cls === undefined ? labelInJson(json, read, index.labelNames) : labelInText(cls, index.labelNames);
  if (label === undefined) {
    const what =
      cls === undefined && json === undefined ? 'has no label' : 'has a label that is not a class number';
    throw wrong(path, key, what);
  }
  index.names.push(image.name);
  index.starts.push(image.start);
  index.bytes.push(image.size);
  index.labels.push(label);
}

/** The only image, or the image that is named as the input. */
function imageOf({ key, images }: Sample, path: string): TarEntry | undefined {
  if (images.size < 2) return images.values().next().value;
  const frontOf = (extension: string) => extension.split('.').slice(0, -1).join('.');
  for (const name of INPUT_NAMES) {
    const found = [...images].filter(([extension]) => frontOf(extension) === name);
    if (found.length === 1) return found[0][1];
    if (found.length > 1) throw wrong(path, key, 'has two images');
  }
  throw wrong(path, key, `has images ${[...images.keys()].join(' and ')}, and none has an input's name`);
}

/** A number is a label; other text is the name of a class. Undefined if the text is empty or an invalid number. */
function labelInText(text: string, names: Map<string, number>): number | undefined {
  const name = text.trim();
  if (/^\d{1,6}$/.test(name)) return Number(name);
  if (name === '' || /^[-+]?[\d.]+$/.test(name)) return undefined;
  const place = names.get(name) ?? names.size;
  names.set(name, place);
  return -1 - place;
}

const labelled = z.object({
  label: z.union([
    z
      .int()
      .min(0)
      .max(MOST_CLASSES - 1),
    z.string().max(MOST_LABEL_BYTES),
  ]),
});

function labelInJson(
  entry: TarEntry | undefined,
  read: ReadAt,
  names: Map<string, number>,
): number | undefined {
  if (entry === undefined || entry.size > MOST_JSON_BYTES) return undefined;
  try {
    const content: unknown = JSON.parse(read(entry.start, entry.size).toString('utf8'));
    const label = labelled.safeParse(content).data?.label;
    return typeof label === 'string' ? labelInText(label, names) : label;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function wrong(path: string, key: string, what: string): InputError {
  return new InputError(`${path}: sample ${JSON.stringify(key.slice(0, 100))} ${what}`, {
    hint: 'A sample is <key>.jpg (or png) followed by <key>.cls, or by <key>.json with a label. Labels start at 0, or are names listed in classes.json.',
  });
}
