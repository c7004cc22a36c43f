import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorText, InputError } from '../base/errors.js';
import type { Split } from './formats.js';

/** Whether tar files lie in a folder, or in its train and val. */
export function holdsShards(folder: string): boolean {
  return tarsIn(folder).some(isTar);
}

/** The parts that a folder has shards of. */
export function shardSplits(folder: string): Split[] {
  return (['train', 'val'] as const).filter((split) => filesOf(folder, split) !== undefined);
}

const SPLIT_NAMES: Readonly<Record<Split, readonly string[]>> = {
  train: ['train', 'training'],
  val: ['val', 'valid', 'validation', 'test'],
};

const isTar = (name: string) => /\.tar$/i.test(name);

function filesOf(folder: string, split: Split): string[] | undefined {
  const tars = tarsIn(folder).filter(isTar);
  const named = (word: string) =>
    tars.filter((name) => new RegExp(`(^|[-_./])${word}(?=[-_./\\d])`, 'i').test(name));
  const of = (each: Split) => SPLIT_NAMES[each].map(named).find(({ length }) => length > 0);
  const isPlain = split === 'val' && tars.length > 0 && of('train') === undefined;
  return (of(split) ?? (isPlain ? tars : undefined))?.map((name) => join(folder, name));
}

/**
 * The shards of a part, sorted: those named after it; to evaluate on, where none is named after train, all.
 *
 * @throws InputError where there are none.
 */
export function shardFiles(folder: string, split: Split): string[] {
  const files = filesOf(folder, split);
  if (files !== undefined) return files;
  const packed = tarsIn(folder).find((name) => !isTar(name));
  throw new InputError(`${folder} has no tar file named ${split}`, {
    hint:
      packed === undefined
        ? `Name them ${split}-000000.tar and so on.`
        : `Unpack ${packed} with gunzip: images are read from within tar files.`,
  });
}

/** Tar files, compressed ones too, of a folder and of its folders train and val, sorted. */
function tarsIn(folder: string): string[] {
  const inside = [...SPLIT_NAMES.train, ...SPLIT_NAMES.val].filter((name) => existsSync(join(folder, name)));
  return ['', ...inside]
    .flatMap((part) => namesIn(join(folder, part)).map((name) => join(part, name)))
    .filter((name) => /\.(tar|tgz|tar\.\w+)$/i.test(name))
    .sort();
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => !name.startsWith('.'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOTDIR') return [];
    throw new InputError(`${folder}: cannot be read as a folder of shards (${errorText(error)})`, {
      hint: 'Check the path.',
      cause: error,
    });
  }
}
