import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pathOf } from '../../files/file-names.js';
import { type Dataset, isClassified, isEncoded } from '../dataset.js';
import type { DataFormat } from '../formats/formats.js';
import { splitOfName } from '../splits.js';

/** The split for training and the split for evaluation. */
export type Part = 'train' | 'val';

/** Identifies a split of a data set. */
export interface SplitIdentity {
  readonly images: number;
  /** Stored size of all images. */
  readonly bytes: number;
  /** Number of images of each class, in the order of the labels; 0 if images have no label of their own. */
  readonly per_class: readonly number[];
  /** SHA-256 of the images' names, classes, sizes and objects, in the data set's order; for images in memory, also of their pixels. */
  readonly digest: string;
}

/** Identifies a data set, independent of where it is stored. */
export interface DataIdentity {
  /** Names of the classes, in the order of the labels. */
  readonly classes: readonly string[];
  readonly train: SplitIdentity;
  readonly val: SplitIdentity;
  /** SHA-256 of the class names and of the digests of both splits. */
  readonly digest: string;
}

/** Where a data set is stored. It determines the prefix of the images' names, which is not part of the identity. */
export interface DataPlace {
  readonly format: DataFormat;
  readonly path: string | undefined;
}

export function dataIdentity(
  { train, val }: Readonly<Record<Part, Dataset>>,
  place: DataPlace,
): DataIdentity {
  const classes = train.classes.map(nfc);
  const splits = { train: splitIdentity(train, place), val: splitIdentity(val, place) };
  const digest = createHash('sha256')
    .update(JSON.stringify([classes, splits.train.digest, splits.val.digest]))
    .digest('hex');
  return { classes, ...splits, digest };
}

function splitIdentity(dataset: Dataset, place: DataPlace): SplitIdentity {
  const hash = createHash('sha256');
  const perClass = dataset.classes.map(() => 0);
  let total = 0;
  for (const { label, bytes, line } of listed(dataset, place)) {
    total += bytes;
    if (isClassified(dataset)) perClass[label]++;
    hash.update(line);
  }
  for (let i = 0; i < dataset.length && dataset.objects !== undefined; i++) {
    hash.update(JSON.stringify(dataset.objects(i)));
  }
  for (let i = 0; i < dataset.length; i++) {
    const source = dataset.source(i);
    if (isEncoded(source)) break;
    hash.update(source.data);
  }
  return { images: dataset.length, bytes: total, per_class: perClass, digest: hash.digest('hex') };
}

/** The list of images, gzipped: one line `<bytes> TAB <class> TAB <name>` per image. Names are relative to the split. */
export function imageList(dataset: Dataset, place: DataPlace): Buffer {
  const parts: Buffer[] = [];
  let lines: string[] = [];
  const flush = () => {
    // Written as several members of one gzip file, because a string of all lines could be too long.
    parts.push(gzipSync(lines.join(''), { level: 1 }));
    lines = [];
  };
  for (const { line } of listed(dataset, place)) if (lines.push(line) === LINES) flush();
  flush();
  return Buffer.concat(parts);
}

const LINES = 100_000;

interface Listed {
  readonly label: number;
  readonly bytes: number;
  readonly line: string;
}

function* listed(dataset: Dataset, place: DataPlace): Generator<Listed> {
  const nameOf = imageNames(dataset, place);
  const classes = dataset.classes.map((name) => field(name));
  for (let i = 0; i < dataset.length; i++) {
    const label = dataset.label(i);
    const bytes = storedBytes(dataset, i);
    yield { label, bytes, line: `${bytes}\t${classes[label]}\t${field(nameOf(i))}\n` };
  }
}

/** Returns the name of an image by index. The name stays the same if the data set is moved. */
export function imageNames(dataset: Dataset, place: DataPlace): (i: number) => string {
  const { format, path } = place;
  if (format === 'csv' && path !== undefined) return csvNames(dataset, path);
  const start = nameStart(dataset, place);
  return start === undefined ? (i) => `image ${i}` : (i) => dataset.describe(i).slice(start);
}

/** Names relative to the folder of the CSV file; images elsewhere keep their whole path. */
function csvNames(dataset: Dataset, file: string): (i: number) => string {
  const root = join(dirname(file), '/');
  return (i) => {
    const name = dataset.describe(i);
    return root !== './' && name.startsWith(root) ? name.slice(root.length) : name;
  };
}

/** Start of the part of an image's name that does not change if the data set is moved. */
function nameStart(dataset: Dataset, { format, path }: DataPlace): number | undefined {
  if (dataset.length === 0 || !isEncoded(dataset.source(0))) return undefined;
  const first = dataset.describe(0);
  const root = path === undefined ? '' : join(path, '/');
  const start = root === './' ? 0 : root.length;
  if (root !== './' && !first.startsWith(root)) return commonFolder(dataset);
  return format === 'folder' ? afterSplit(dataset, start) : start;
}

/** Skips the folder of the split, so that val, valid and validation are equivalent. A folder without splits has none. */
function afterSplit(dataset: Dataset, start: number): number {
  const first = dataset.describe(0);
  const end = first.indexOf('/', start) + 1;
  const isSplit = end > 0 && splitOfName(first.slice(start, end - 1)) !== undefined;
  const isShared = dataset.describe(dataset.length - 1).startsWith(first.slice(0, end));
  return isSplit && isShared ? end : start;
}

/** Length of the path that all images have in common, up to its last slash. */
export function commonFolder(dataset: Dataset): number {
  if (dataset.length === 0) return 0;
  const first = dataset.describe(0);
  let common = first.lastIndexOf('/') + 1;
  for (let i = 1; i < dataset.length && common > 0; i++) {
    const name = dataset.describe(i);
    while (common > 0 && !name.startsWith(first.slice(0, common))) {
      common = first.lastIndexOf('/', common - 2) + 1;
    }
  }
  return common;
}

/** Stored size of an image and its label map; 0 if its file is missing. */
export function storedBytes(dataset: Dataset, i: number): number {
  const source = dataset.source(i);
  if (!isEncoded(source)) return source.data.length;
  const map = dataset.labelMap?.(i);
  return (source.bytes ?? sizeOf(source.file)) + (map === undefined ? 0 : sizeOf(map.file));
}

function sizeOf(file: string): number {
  return statSync(pathOf(file), { throwIfNoEntry: false })?.size ?? 0;
}

function nfc(name: string): string {
  return name.normalize('NFC');
}

/** A name, normalised and escaped as a field of a line. */
function field(name: string): string {
  return nfc(name).replaceAll(
    /[\\\t\n]/g,
    (character) => `\\${character === '\\' ? '\\' : character === '\t' ? 't' : 'n'}`,
  );
}
