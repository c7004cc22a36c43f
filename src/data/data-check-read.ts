import { webcrypto } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { availableCores } from '../base/cores.js';
import { errorText, InputError } from '../base/errors.js';
import { setImageThreads } from '../torch/images.js';
import { checkImage } from './check-image.js';
import { type Dataset, type EncodedImage, type Image, isEncoded } from './dataset.js';

/** What reading all images of a data set found; in the data set's order. */
export interface Reading {
  /** Pixels; 0 where the image could not be read. */
  readonly widths: Uint32Array;
  readonly heights: Uint32Array;
  /** The first 16 bytes of each image's SHA-256. */
  readonly digests: Buffer;
  readonly unreadable: readonly Finding[];
  /** Images whose content is another format than their name says. */
  readonly misnamed: readonly Finding[];
}

export interface Finding {
  readonly index: number;
  readonly detail: string;
}

export const DIGEST_BYTES = 16;

/**
 * Reads and decodes every image, many at a time.
 *
 * @param seen called after each
 */
export async function readAll(dataset: Dataset, seen: () => void): Promise<Reading> {
  const { length } = dataset;
  const widths = new Uint32Array(length);
  const heights = new Uint32Array(length);
  const digests = Buffer.alloc(length * DIGEST_BYTES);
  const unreadable: Finding[] = [];
  const misnamed: Finding[] = [];

  setImageThreads(availableCores());

  const read = async (index: number) => {
    const source = dataset.source(index);
    let image: Pick<Image, 'width' | 'height'>;
    let bytes: Uint8Array;
    if (isEncoded(source)) {
      bytes = await storedBytes(source);
      const format = misnamedFormat(dataset.describe(index), bytes);
      if (format !== undefined) misnamed.push({ index, detail: `named otherwise, it is a ${format} image` });
      image = await checkImage(source);
    } else {
      bytes = source.data;
      image = source;
    }
    const digest = await webcrypto.subtle.digest('SHA-256', bytes);
    digests.set(new Uint8Array(digest, 0, DIGEST_BYTES), index * DIGEST_BYTES);
    widths[index] = image.width;
    heights[index] = image.height;
  };
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < length; index = next++) {
      try {
        await read(index);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        unreadable.push({ index, detail: withoutFile(dataset, index, error.message) });
      }
      seen();
    }
  };
  await Promise.all(Array.from({ length: 2 * availableCores() + 2 }, worker));
  const byIndex = (a: Finding, b: Finding) => a.index - b.index;
  return {
    widths,
    heights,
    digests,
    unreadable: unreadable.sort(byIndex),
    misnamed: misnamed.sort(byIndex),
  };
}

/** A decoder's message without the file in front: findings have the image's name beside them. */
function withoutFile(dataset: Dataset, index: number, message: string): string {
  const source = dataset.source(index);
  const front = isEncoded(source) ? `${source.file}: ` : '';
  return message.startsWith(front) ? message.slice(front.length) : message;
}

async function storedBytes({ file, start, bytes }: EncodedImage): Promise<Uint8Array> {
  try {
    if (start === undefined || bytes === undefined) return await readFile(file);
    await using handle = await open(file);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, start);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw new InputError(`cannot be read (${errorText(error)})`, { cause: error });
  }
}

/** How files of image formats begin, and how they are named. */
const SIGNATURES: readonly { format: string; begins: RegExp; named: RegExp }[] = [
  { format: 'JPEG', begins: /^\xff\xd8\xff/, named: /\.jpe?g$/i },
  { format: 'PNG', begins: /^\x89PNG/, named: /\.png$/i },
  { format: 'GIF', begins: /^GIF8/, named: /\.gif$/i },
  { format: 'WebP', begins: /^RIFF....WEBP/s, named: /\.webp$/i },
  { format: 'BMP', begins: /^BM/, named: /\.bmp$/i },
  { format: 'TIFF', begins: /^(II\*\0|MM\0\*)/, named: /\.tiff?$/i },
];

function misnamedFormat(name: string, bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 12)).toString('latin1');
  const signature = SIGNATURES.find(({ begins }) => begins.test(start));
  return signature === undefined || signature.named.test(name) ? undefined : signature.format;
}
