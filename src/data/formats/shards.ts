import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import { cacheRoot } from '../../files/home.js';
import { readSmallText } from '../../files/small-file.js';
import { className, type KnownClasses, labelsAmong, type NamedClasses, numberNames } from '../class-names.js';
import type { Dataset } from '../dataset.js';
import { joinedPassedOver } from '../passed-over.js';
import type { SplitChoice } from '../splits.js';
import { nameListBuilder } from './name-list.js';
import { shardFiles, shardLayout } from './shard-files.js';
import { shardIndex } from './shard-index.js';
import type { ShardIndex } from './shard-samples.js';

export interface ShardOptions {
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
