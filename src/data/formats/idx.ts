import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gunzipSync } from 'node:zlib';
import { errorText, InputError } from '../../base/errors.js';
import { absent } from '../../files/file-names.js';
import { readSmall } from '../../files/small-file.js';
import type { Dataset, Image } from '../dataset.js';
import { unknownEntries } from './folder-layout.js';

/** Names of Fashion-MNIST's classes, by label. */
export const FASHION_MNIST_CLASSES = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
] as const;

/**
 * Fashion-MNIST (Xiao et al. 2017) from the published files: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
 * `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, each uncompressed or with `.gz`. Grey images, in memory.
 *
 * @throws InputError if a file is missing or damaged, or images and labels do not match.
 *
 * @example
 * const { train, val } = fashionMnist('fashion-mnist');
 * train.classes[train.label(0)];
 * val.source(0); // 28 x 28 grey pixels
 */
export function fashionMnist(folder: string): { train: Dataset; val: Dataset } {
  return { train: idxDataset(folder, 'train'), val: idxDataset(folder, 't10k') };
}

function idxDataset(folder: string, prefix: string): Dataset {
  const imageFile = findFile(folder, `${prefix}-images-idx3-ubyte`);
  const labelFile = findFile(folder, `${prefix}-labels-idx1-ubyte`);
  const {
    shape: [length, height, width],
    data: pixels,
  } = readIdx(imageFile, 3);
  const { shape, data: labels } = readIdx(labelFile, 1);
  if (shape[0] !== length) {
    throw new InputError(
      `${labelFile} contains ${shape[0]} labels, but ${imageFile} contains ${length} images`,
      {
        hint: FETCH,
      },
    );
  }
  const wrong = labels.findIndex((label) => label >= FASHION_MNIST_CLASSES.length);
  if (wrong >= 0) {
    throw new InputError(
      `${labelFile}: label ${wrong} is ${labels[wrong]}, but there are ${FASHION_MNIST_CLASSES.length} classes`,
      {
        hint: FETCH,
      },
    );
  }
  const size = height * width;
  return {
    length,
    classes: FASHION_MNIST_CLASSES,
    passedOver: unknownEntries(folder, (name) => KNOWN.test(name)),
    label: (i) => labels[i],
    describe: (i) => `${imageFile}, image ${i}`,
    source: (i): Image => ({ width, height, channels: 1, data: pixels.subarray(i * size, (i + 1) * size) }),
  };
}

/** The files of the data set, and the one in which the set-up notes that it has verified them. */
const KNOWN = /^((train|t10k)-(images-idx3|labels-idx1)-ubyte(\.gz)?|\.verified\.json)$/;

/**
 * Reads an IDX file of unsigned bytes (Y. LeCun's format: 0, 0, type 8, number of dimensions, then each dimension as a
 * big-endian uint32, then the elements), gzipped or not.
 *
 * @throws InputError naming the file, if it is not an IDX file or its length does not match its header. A false header cannot
 *   cause large allocations: a gzipped file never grows beyond deflate's ratio of 1032.
 */
export function readIdx(file: string, dimensions: number): { shape: number[]; data: Uint8Array } {
  const raw = readBytes(file);
  const gzipped = raw[0] === 0x1f && raw[1] === 0x8b;
  const start = gzipped ? startOfGzip(raw, file) : raw;
  const headerSize = 4 + 4 * dimensions;
  if (start.length < headerSize || start.readUInt32BE(0) !== 0x800 + dimensions) {
    throw damaged(file, `is not an IDX file of ${dimensions}-dimensional unsigned bytes`);
  }
  const shape = Array.from({ length: dimensions }, (_, i) => start.readUInt32BE(4 + 4 * i));
  const expected = headerSize + shape.reduce((product, size) => product * size, 1);
  const says = `its header says ${shape.join(' x ')} bytes`;
  if (expected === headerSize) throw damaged(file, `is empty: ${says}`);

  const largest = gzipped ? raw.length * 1032 : raw.length;
  if (expected > largest) throw damaged(file, `is truncated: ${says}`);
  if (expected > MOST_BYTES || (expected > FEW_BYTES && expected > raw.length * MOST_RATIO)) {
    throw damaged(file, `is too long: ${says}, but the file has ${raw.length} bytes`);
  }
  const bytes = gzipped ? gunzip(raw, expected, file) : raw;
  if (bytes.length < expected) throw damaged(file, `is truncated: ${says}`);
  if (bytes.length > expected) throw damaged(file, `is too long: ${says}`);
  return { shape, data: bytes.subarray(headerSize) };
}

/** Limit for the uncompressed size: forty times the size of Fashion-MNIST. */
const MOST_BYTES = 2 ** 31;
/** Up to this size, a file is unpacked regardless of its compression ratio. */
const FEW_BYTES = 2 ** 26;
/** Limit for the compression ratio. Images compress to a fifth, labels to a half. */
const MOST_RATIO = 100;

/** The first uncompressed bytes, enough for the header if the file is complete. */
function startOfGzip(raw: Buffer, file: string): Buffer {
  try {
    return gunzipSync(raw.subarray(0, 4096), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    throw damaged(file, `is not a valid gzip file (${errorText(error)})`);
  }
}

function gunzip(raw: Buffer, expected: number, file: string): Buffer {
  try {
    return gunzipSync(raw, { maxOutputLength: expected + 1 });
  } catch (error) {
    if (error instanceof RangeError)
      throw damaged(file, 'is too long: it contains more than its header says');
    throw damaged(file, `is truncated or damaged (${errorText(error)})`);
  }
}

function readBytes(file: string): Buffer {
  try {
    return readSmall(file, MOST_BYTES);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${file}: cannot be read (${errorText(error)})`, { hint: FETCH, cause: error });
  }
}

function findFile(folder: string, name: string): string {
  const found = [name, `${name}.gz`].map((each) => join(folder, each)).find((each) => existsSync(each));
  if (found === undefined) {
    const what = existsSync(folder) ? `${folder} has no file ${name} or ${name}.gz` : absent(folder);
    throw new InputError(what, { hint: FETCH });
  }
  return found;
}

const FETCH =
  '`npx deep-incubation setup` downloads Fashion-MNIST; or name the folder that contains its four files.';

function damaged(file: string, what: string): InputError {
  return new InputError(`${file} ${what}`, { hint: FETCH });
}
