/** A part of a data set. `test` is read only where it is asked for. */
export type Split = 'train' | 'val' | 'test';

export const SPLITS = ['train', 'val', 'test'] as const satisfies readonly Split[];

/** `all`: a data set as it is, not divided into parts. */
export type SplitChoice = Split | 'all';

export const SPLIT_CHOICES = [...SPLITS, 'all'] as const satisfies readonly SplitChoice[];

/** What a folder or a shard of a part is called, in any case of letters. */
const NAMES: Readonly<Record<Split, readonly string[]>> = {
  train: ['train', 'training'],
  val: ['val', 'valid', 'validation'],
  test: ['test'],
};

/** The part that a folder's name says; undefined: it is no part's. */
export function splitOfName(name: string): Split | undefined {
  const word = name.toLowerCase();
  return SPLITS.find((split) => NAMES[split].includes(word));
}

/** The parts that the words of a file's name say, such as `imagenet-train-000.tar`. */
export function splitsInName(name: string): readonly Split[] {
  const words = name
    .toLowerCase()
    .split(/[-_./]|(?<=[a-z])(?=\d)/)
    // The last is the extension.
    .slice(0, -1);
  return SPLITS.filter((split) => NAMES[split].some((each) => words.includes(each)));
}

/** `val, valid or validation` */
export function namesOfSplit(split: Split): string {
  const names = NAMES[split];
  return names.length === 1 ? names[0] : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}
