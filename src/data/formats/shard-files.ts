import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errorText, InputError } from '../../base/errors.js';
import { type OnPassedOver, type PassedOver, passedOverTally } from '../passed-over.js';
import { namesOfSplit, SPLITS, type Split, type SplitChoice, splitOfName, splitsInName } from '../splits.js';
import { extensionReason, hiddenReason } from './folder-scan.js';

/** The shards of a folder. */
export interface ShardLayout {
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
export function shardFiles(folder: string, split: SplitChoice): readonly string[] {
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
