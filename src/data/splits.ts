/** A part of a data set. `test` is read only if requested. */
export type Split = 'train' | 'val' | 'test';

export const SPLITS = ['train', 'val', 'test'] as const satisfies readonly Split[];

/** `all`: the whole data set, not divided into parts. */
export type SplitChoice = Split | 'all';

export const SPLIT_CHOICES = [...SPLITS, 'all'] as const satisfies readonly SplitChoice[];

/** Names of a part in the names of folders and shards, case-insensitive. */
const NAMES: Readonly<Record<Split, readonly string[]>> = {
  train: ['train', 'training'],
  val: ['val', 'valid', 'validation'],
  test: ['test'],
};

/** The part that a folder name stands for; undefined if it is not the name of a part. */
export function splitOfName(name: string): Split | undefined {
  const word = name.toLowerCase();
  return SPLITS.find((split) => NAMES[split].includes(word));
}

/** The parts that are named by words of a file name, such as `imagenet-train-000.tar`. */
export function splitsInName(name: string): readonly Split[] {
  const words = name
    .toLowerCase()
    .split(/[-_./]|(?<=[a-z])(?=\d)/)
    // The last word is the extension.
    .slice(0, -1);
  return SPLITS.filter((split) => NAMES[split].some((each) => words.includes(each)));
}

/** `val, valid or validation` */
export function namesOfSplit(split: Split): string {
  const names = NAMES[split];
  return names.length === 1 ? names[0] : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}
