import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { errorText, InputError } from '../../base/errors.js';
import { absent } from '../../files/file-names.js';
import { readSmall, readSmallText } from '../../files/small-file.js';
import { numberNames } from '../class-names.js';
import type { Dataset, Image } from '../dataset.js';
import { unknownEntries } from './folder-layout.js';

/** `val` is the test batch of the original data set. */
type CifarPart = 'train' | 'val';

/** The binary version of one of the two data sets (Krizhevsky 2009). */
interface Variant {
  readonly title: string;
  /** The folder to which its archive unpacks. */
  readonly folder: string;
  readonly files: Readonly<Record<CifarPart, readonly string[]>>;
  /** Number of classes of each label. A record has its labels, one byte each, then the pixels. The last label is the class. */
  readonly labelCounts: readonly number[];
  readonly nameFile: string;
  /** File name of the archive. */
  readonly archive: string;
}

const VARIANTS = {
  'cifar-10': {
    title: 'CIFAR-10',
    folder: 'cifar-10-batches-bin',
    files: { train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`), val: ['test_batch.bin'] },
    labelCounts: [10],
    nameFile: 'batches.meta.txt',
    archive: 'cifar-10-binary.tar.gz',
  },
  'cifar-100': {
    title: 'CIFAR-100',
    folder: 'cifar-100-binary',
    files: { train: ['train.bin'], val: ['test.bin'] },
    labelCounts: [20, 100],
    nameFile: 'fine_label_names.txt',
    archive: 'cifar-100-binary.tar.gz',
  },
} as const satisfies Record<string, Variant>;

export type CifarFormat = keyof typeof VARIANTS;

const SIDE = 32;
const PIXELS = SIDE * SIDE;
const IMAGE_BYTES = 3 * PIXELS;

/**
 * CIFAR-10 or CIFAR-100 (fine labels), in memory, from its binary version. The class names are read from its text file of
 * names, if it exists.
 *
 * @param folder folder with the .bin files, or its parent
 * @throws InputError if a file is missing or does not have a whole number of images, or if a label is invalid.
 */
export function cifar(folder: string, format: CifarFormat, split: CifarPart): Dataset {
  const variant = VARIANTS[format];
  const root = cifarFolder(folder, format);
  if (root === undefined) throw missing(folder, variant);
  const files = variant.files[split].map((name) => join(root, name));
  const batches = files.map((file) => readBatch(file, variant));
  // A file that was truncated between two images is shorter than the other files.
  const odd = batches.findIndex(({ length }) => length !== batches[0].length);
  if (odd > 0) {
    throw wrongFile(
      files[odd],
      `has ${batches[odd].length} bytes, ${files[0]} ${batches[0].length}`,
      variant,
    );
  }

  const record = recordBytes(variant);
  const perBatch = batches[0].length / record;
  const names = classNames(join(root, variant.nameFile), variant);
  const recordOf = (i: number) => {
    const start = (i % perBatch) * record;
    return batches[Math.floor(i / perBatch)].subarray(start, start + record);
  };
  return {
    length: perBatch * batches.length,
    classes: names ?? numberNames(variant.labelCounts[variant.labelCounts.length - 1]),
    isUnnamed: names === undefined,
    passedOver: unknownEntries(root, isPublished),
    label: (i) => recordOf(i)[variant.labelCounts.length - 1],
    describe: (i) => `${files[Math.floor(i / perBatch)]}, image ${i % perBatch}`,
    source: (i): Image => ({
      width: SIDE,
      height: SIDE,
      channels: 3,
      data: interleaved(recordOf(i).subarray(variant.labelCounts.length)),
    }),
  };
}

/** `folder`, or the archive's folder within it, whichever has files of the data set. */
export function cifarFolder(folder: string, format: CifarFormat): string | undefined {
  const { files, folder: inside } = VARIANTS[format];
  const names = [...files.train, ...files.val];
  return [folder, join(folder, inside)].find((each) => names.some((name) => existsSync(join(each, name))));
}

/** Whether the archives have a file with this name. */
function isPublished(name: string): boolean {
  return Object.values(VARIANTS).some(({ files, nameFile }) =>
    [...files.train, ...files.val, nameFile, 'coarse_label_names.txt', 'readme.html'].includes(name),
  );
}

function recordBytes({ labelCounts }: Variant): number {
  return labelCounts.length + IMAGE_BYTES;
}

/** The largest published file has 154 MB. */
const MOST_BYTES = 2 ** 28;

function readBatch(file: string, variant: Variant): Buffer {
  let bytes: Buffer;
  try {
    bytes = readSmall(file, MOST_BYTES);
  } catch (error) {
    throw wrongFile(file, `cannot be read (${errorText(error)})`, variant);
  }
  const record = recordBytes(variant);
  if (bytes.length === 0 || bytes.length % record !== 0) {
    throw wrongFile(file, `has ${bytes.length} bytes, which is not a multiple of ${record}`, variant);
  }
  for (const [place, count] of variant.labelCounts.entries()) {
    for (let at = place; at < bytes.length; at += record) {
      if (bytes[at] < count) continue;
      const image = Math.floor(at / record);
      throw wrongFile(file, `has label ${bytes[at]} of ${count} classes at image ${image}`, variant);
    }
  }
  return bytes;
}

function classNames(file: string, { labelCounts }: Variant): readonly string[] | undefined {
  const count = labelCounts[labelCounts.length - 1];
  if (!existsSync(file)) return undefined;
  const names = readSmallText(file)
    .split(/\r?\n/)
    .filter((line) => line !== '');
  if (names.length === count) return names;
  throw new InputError(`${file} lists ${names.length} class names instead of ${count}`, {
    hint: 'Restore or remove it.',
  });
}

/** Converts three planes to interleaved pixels. */
function interleaved(planes: Uint8Array): Uint8Array {
  const data = new Uint8Array(IMAGE_BYTES);
  for (let i = 0, at = 0; i < PIXELS; i++) {
    data[at++] = planes[i];
    data[at++] = planes[PIXELS + i];
    data[at++] = planes[2 * PIXELS + i];
  }
  return data;
}

function missing(folder: string, { title, files, archive, folder: inside }: Variant): InputError {
  const isPython = ['cifar-10-batches-py', 'cifar-100-python'].some((name) => existsSync(join(folder, name)));
  const what = existsSync(folder) ? `${folder} has no file ${files.val[0]}` : absent(folder);
  return new InputError(`${what}, so it is not ${title}`, {
    hint: isPython
      ? `These are the Python files of the data set: download the binary version, ${archive}.`
      : `Name the folder that ${archive} unpacks to, ${inside}, or its parent folder.`,
  });
}

function wrongFile(file: string, what: string, { archive }: Variant): InputError {
  return new InputError(`${file} ${what}`, { hint: `Unpack ${archive} again.` });
}
