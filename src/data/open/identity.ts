import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { pathOf } from '../../files/file-names.js';
import { type Dataset, isEncoded } from '../dataset.js';
import { type DataPlace, imageNames } from './image-names.js';
import type { DatasetPair } from './open-dataset.js';

/** The split for training and the split for evaluation. */
export type Part = 'train' | 'val';

/** Identifies a split of a data set. */
export interface SplitIdentity {
  readonly images: number;
  /** Stored size of all images. */
  readonly bytes: number;
  /** Number of images of each class, in the order of the labels. */
  readonly per_class: readonly number[];
  /** SHA-256 of the images' names, classes and sizes, in the data set's order; for images in memory, also of their pixels. */
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

export function dataIdentity({ train, val }: DatasetPair, place: DataPlace): DataIdentity {
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
    perClass[label]++;
    hash.update(line);
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

/** Stored size of an image; 0 if its file is missing. */
export function storedBytes(dataset: Dataset, i: number): number {
  const source = dataset.source(i);
  if (!isEncoded(source)) return source.data.length;
  return source.bytes ?? statSync(pathOf(source.file), { throwIfNoEntry: false })?.size ?? 0;
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
