import { type Dirent, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { errorText, InputError } from '../../base/errors.js';
import { cacheRoot } from '../../files/home.js';
import { readSmallText } from '../../files/small-file.js';
import { className, type KnownClasses, labelsAmong, type NamedClasses, numberNames } from '../class-names.js';
import type { Dataset } from '../dataset.js';
import { joinedPassedOver, type OnPassedOver, type PassedOver, passedOverTally } from '../passed-over.js';
import { namesOfSplit, SPLITS, type Split, type SplitChoice, splitOfName, splitsInName } from '../splits.js';
import { extensionReason, hiddenReason } from './folder-layout.js';
import { nameListBuilder } from './name-list.js';
import { type ShardIndex, shardIndex } from './shard-index.js';

interface ShardOptions {
  /** Folder for the indices of shards. Default: in the cache folder. */
  readonly cacheFolder?: string;
  /** Classes to use if every label is a name and there is no list of names next to the shards. */
  readonly otherwise?: NamedClasses | undefined;
  /** Called for each damaged shard, which is then skipped. If absent, the error is thrown. */
  readonly onProblem?: (problem: InputError) => void;
}

/**
 * Images in tar files with WebDataset's layout. They are read by random access, without unpacking. A folder has the shards of all
 * parts (`train-000000.tar`, `imagenet-val-00.tar`, `train/0.tar`) and optionally class names in `classes.json` or
 * `dataset.json`: a list, or an object with a list `classes`. An index is made when a shard is first read (see `shardIndex`).
 *
 * @throws InputError if the part has no shards, a shard is damaged, or labels do not match the classes.
 */
export function shards(
  folder: string,
  split: SplitChoice,
  known: KnownClasses = {},
  options: ShardOptions = {},
): Dataset {
  const files = shardFiles(folder, split);
  const { names, shard, starts, bytes, labels, byName, passedOver } = joined(files, options);
  const listed = known.classes ?? classNames(folder);
  const areNames = byName.length > 0 && labels.every((label) => label < 0);
  const { otherwise } = options;
  const named = listed ?? (areNames ? otherwise?.names : undefined);
  const whose = known.from ?? (listed === undefined ? otherwise?.from : undefined) ?? folder;
  const classes = named ?? numberNames(known.modelClasses ?? highest(labels) + 1);
  for (const { from, to, labelNames } of byName) {
    const show = (name: string) => `${files[shard[from]]}: label ${JSON.stringify(name)}`;
    const places = labelsAmong(labelNames, { names: classes, from: whose }, show, NAME_THEM);
    for (let i = from; i < to; i++) if (labels[i] < 0) labels[i] = places[-1 - labels[i]];
  }
  const wrong = labels.findIndex((label) => label >= classes.length);
  if (wrong >= 0) {
    throw new InputError(
      `${files[shard[wrong]]}: ${names.at(wrong)} has label ${labels[wrong]}, but there are ${classes.length} classes`,
      { hint: 'Labels must be from 0 to the number of classes - 1.' },
    );
  }
  return {
    length: names.length,
    classes,
    isUnnamed: named === undefined,
    passedOver: joinedPassedOver([shardLayout(folder).passedOver, passedOver]),
    label: (i) => labels[i],
    describe: (i) => `${files[shard[i]]}: ${names.at(i)}`,
    source: (i) => ({ file: files[shard[i]], start: starts[i], bytes: bytes[i] }),
  };
}

/** The indices of all shards, concatenated. */
function joined(files: readonly string[], options: ShardOptions) {
  const { cacheFolder = join(cacheRoot(), 'shards'), onProblem } = options;
  const indices = files.map((file) => tolerant(() => shardIndex(file, cacheFolder), onProblem));
  const total = indices.reduce((sum, index) => sum + (index?.names.length ?? 0), 0);
  if (total === 0 && onProblem === undefined) {
    throw new InputError(
      `${files[0]} ${files.length > 1 ? 'and the other shards contain' : 'contains'} no images`,
      {
        hint: 'A sample is <key>.jpg (or png) and <key>.cls, or <key>.json with a label.',
      },
    );
  }
  const names = nameListBuilder();
  const shard = new Int32Array(total);
  const starts = new Float64Array(total);
  const bytes = new Uint32Array(total);
  const labels = new Int32Array(total);
  const byName: NamedLabels[] = [];
  let at = 0;
  for (const [i, index] of indices.entries()) {
    if (index === undefined) continue;
    starts.set(index.starts, at);
    bytes.set(index.bytes, at);
    labels.set(index.labels, at);
    shard.fill(i, at, at + index.names.length);
    for (const name of index.names) names.add(name);
    if (index.labelNames.length > 0) {
      byName.push({ from: at, to: at + index.names.length, labelNames: index.labelNames });
    }
    at += index.names.length;
  }
  const passedOver = joinedPassedOver(indices.map((index) => index?.passedOver));
  return { names: names.build(), shard, starts, bytes, labels, byName, passedOver };
}

/** The samples of a shard that has names as labels. */
interface NamedLabels {
  readonly from: number;
  readonly to: number;
  readonly labelNames: readonly string[];
}

const NAME_THEM =
  'Labels that are names need a classes.json in the folder of the shards: the names in the order of the labels.';

function tolerant(work: () => ShardIndex, onProblem?: (problem: InputError) => void): ShardIndex | undefined {
  try {
    return work();
  } catch (error) {
    if (onProblem === undefined || !(error instanceof InputError)) throw error;
    onProblem(error);
    return undefined;
  }
}

const namesSchema = z.union([
  z.array(z.string()),
  z.object({ classes: z.array(z.string()) }).transform(({ classes }) => classes),
]);

function classNames(folder: string): readonly string[] | undefined {
  const file = ['classes.json', 'dataset.json']
    .map((name) => join(folder, name))
    .find((path) => existsSync(path));
  if (file === undefined) return undefined;
  try {
    return namesSchema.parse(JSON.parse(readSmallText(file))).map(className);
  } catch (error) {
    throw new InputError(`${file} is not a list of class names`, {
      hint: 'It must contain ["name of class 0", "name of class 1", ...], or {"classes": [...]}.',
      cause: error,
    });
  }
}

function highest(labels: Int32Array): number {
  return labels.reduce((most, label) => Math.max(most, label), -1);
}

/** The shards of a folder. */
interface ShardLayout {
  /** Paths of each part's shards, sorted. */
  readonly parts: Readonly<Partial<Record<Split, readonly string[]>>>;
  /** Paths of shards whose names have no part, sorted. */
  readonly unnamed: readonly string[];
  /** Paths of compressed tar files, which cannot be read. */
  readonly packed: readonly string[];
  readonly passedOver: readonly PassedOver[];
}

/** Whether there are tar files in a folder or in the folders of its parts. */
export function holdsShards(folder: string): boolean {
  return tarsIn(folder).some(({ name }) => isTar(name));
}

/**
 * The tar files of a folder and of its sub-folders `train`, `val` ..., by part. The part is the sub-folder's, or otherwise a word
 * of the file name.
 *
 * @throws InputError if a part has two folders, or a file name has two parts.
 */
export function shardLayout(folder: string): ShardLayout {
  const tally = passedOverTally();
  const found = tarsIn(folder, tally.add);
  const tars = found.filter(({ name }) => isTar(name));
  const of = (split: Split | undefined) =>
    tars.filter((tar) => tar.split === split).map(({ name }) => join(folder, name));
  const parts = Object.fromEntries(
    SPLITS.map((split) => [split, of(split)] as const).filter(([, files]) => files.length > 0),
  );
  const unnamed = of(undefined);
  if (Object.keys(parts).length > 0) {
    for (const path of unnamed) tally.add('tar files whose names contain no split', path);
  }
  const packed = found.filter(({ name }) => !isTar(name)).map(({ name }) => join(folder, name));
  for (const path of packed) tally.add('compressed tar files', path);
  return { parts, unnamed, packed, passedOver: tally.list() };
}

/**
 * The shards of a part. If no name has a part, `val` is all shards.
 *
 * @param split `all`: every shard, regardless of its name
 * @throws InputError as `shardLayout`, and if there are no shards.
 */
function shardFiles(folder: string, split: SplitChoice): readonly string[] {
  const { parts, unnamed, packed } = shardLayout(folder);
  const named = Object.values(parts).flat();
  const isWhole = split === 'all' || (split === 'val' && named.length === 0);
  const files = isWhole ? [...named, ...unnamed].sort() : (parts[split] ?? []);
  if (files.length > 0) return files;
  const names = split === 'all' ? 'for any split' : `named ${namesOfSplit(split)}`;
  const has = named.length === 0 ? '' : `: it has ${Object.keys(parts).join(' and ')}`;
  throw new InputError(`${folder} has no tar files ${names}${has}`, { hint: hintFor(split, packed) });
}

function hintFor(split: SplitChoice, packed: readonly string[]): string {
  if (packed.length > 0)
    return `Decompress ${packed[0]} with gunzip: images are read directly from uncompressed tar files.`;
  const rename = `Name them ${split}-000000.tar and so on`;
  if (split !== 'val') return `${rename}.`;
  return `${rename}, or choose --split train or --split test. A recipe can instead take validation images out of the training images: \`data.split: { val: 0.1 }\`.`;
}

const isTar = (name: string) => /\.tar$/i.test(name);
const isPerhapsPacked = (name: string) => /\.(tar|tgz|tar\.\w+)$/i.test(name);

interface Tar {
  /** Path within the folder. */
  readonly name: string;
  readonly split: Split | undefined;
}

/** Tar files, including compressed ones, sorted. */
function tarsIn(folder: string, onPassedOver?: OnPassedOver): Tar[] {
  const tars: Tar[] = [];
  const folders = new Map<Split, string>();
  for (const entry of entriesOf(folder, '', onPassedOver)) {
    const { name } = entry;
    const split = splitOfName(name);
    if (isPerhapsPacked(name)) {
      tars.push({ name, split: splitOfFile(folder, name) });
    } else if (split !== undefined && isFolder(folder, entry)) {
      const inside = tarsOfPart(folder, name, split, onPassedOver);
      tars.push(...inside);
      const other = folders.get(split);
      if (inside.length > 0 && other !== undefined) throw twoFolders(folder, split, [other, name]);
      if (inside.length > 0) folders.set(split, name);
    } else if (!NAME_FILES.has(name)) {
      onPassedOver?.(
        isFolder(folder, entry) ? 'folders that are not splits' : extensionReason(name),
        join(folder, name),
      );
    }
  }
  return tars.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function tarsOfPart(folder: string, part: string, split: Split, onPassedOver?: OnPassedOver): Tar[] {
  return entriesOf(folder, part, onPassedOver).flatMap(({ name }) => {
    const path = join(part, name);
    if (isPerhapsPacked(name)) return [{ name: path, split }];
    if (!NAME_FILES.has(name)) onPassedOver?.(extensionReason(name), join(folder, path));
    return [];
  });
}

/** Files that may have class names. */
const NAME_FILES: ReadonlySet<string> = new Set(['classes.json', 'dataset.json']);

function splitOfFile(folder: string, name: string): Split | undefined {
  const splits = splitsInName(name);
  if (splits.length < 2) return splits[0];
  throw new InputError(`${join(folder, name)}: its name contains two splits, ${splits.join(' and ')}`, {
    hint: `Rename it, or move it into a folder named ${splits.join(' or ')}.`,
  });
}

function twoFolders(folder: string, split: Split, names: readonly string[]): InputError {
  return new InputError(`${folder} has two folders for the split ${split}: ${names.join(' and ')}`, {
    hint: 'Put the shards of a split into one folder.',
  });
}

function isFolder(folder: string, entry: Dirent): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return statSync(join(folder, entry.name), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function entriesOf(folder: string, part: string, onPassedOver?: OnPassedOver): Dirent[] {
  const path = join(folder, part);
  try {
    return readdirSync(path, { withFileTypes: true }).filter(({ name }) => {
      const hidden = hiddenReason(name);
      if (hidden !== undefined) onPassedOver?.(hidden, join(path, name));
      return hidden === undefined;
    });
  } catch (error) {
    throw new InputError(`${path}: cannot be read as a folder of shards (${errorText(error)})`, {
      hint: 'Check the path.',
      cause: error,
    });
  }
}
