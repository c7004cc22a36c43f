import { webcrypto } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { availableCores } from '../../base/cores.js';
import { errorText, InputError } from '../../base/errors.js';
import { pathOf } from '../../files/file-names.js';
import { openImages, runImages, setImageThreads } from '../../torch/images.js';
import { type Dataset, type EncodedImage, type Image, isEncoded } from '../dataset.js';
import { decodeImage, isGrey16, orientationOf } from '../images/decode.js';
import { imageFormatOf, isNamedAs } from '../images/image-format.js';
import type { ImageSize } from '../transforms/transform.js';

/** Properties of a decoded image. */
interface CheckedImage extends ImageSize {
  /** EXIF orientation, 1 (upright) to 8. */
  readonly orientation: number;
  /** Whether the image is 16-bit grey. */
  readonly grey16: boolean;
}

/**
 * Reads and decodes a complete image, as the loader does.
 *
 * @throws InputError with the reason why it cannot be read, without the image's name.
 */
export async function checkImage(source: EncodedImage): Promise<CheckedImage> {
  const [file] = await openImages([source]);
  if ('error' in file) throw new InputError(file.error);
  if ('bytes' in file) {
    const { width, height, channels } = await decodeImage(file.bytes, source);
    const orientation = await orientationOf(file.bytes);
    return { width, height, channels, orientation, grey16: isGrey16(file.bytes) };
  }
  const { handle, width, height, orientation } = file;
  const size = { width, height, channels: 3 } as const;
  const job = { handle, program: new Float64Array(0), slot: 0 };
  const [error] = await runImages([job], size, new Uint8Array(3 * width * height));
  if (error !== null) throw new InputError(error);
  return { ...size, orientation, grey16: false };
}

/** The result of reading all images of a data set, in the data set's order. */
export interface Reading {
  /** In pixels; 0 if the image could not be read. */
  readonly widths: Uint32Array;
  readonly heights: Uint32Array;
  /** The first 16 bytes of each image's SHA-256. */
  readonly digests: Buffer;
  readonly unreadable: readonly Finding[];
  /** Images whose format does not match their name. */
  readonly misnamed: readonly Finding[];
  /** Number of images that the EXIF orientation turns or mirrors. */
  readonly turned: number;
  /** Number of 16-bit grey images. */
  readonly grey16: number;
}

export interface Finding {
  readonly index: number;
  readonly detail: string;
}

export const DIGEST_BYTES = 16;

/**
 * Reads and decodes every image, many in parallel.
 *
 * @param seen called after each image
 */
export async function readAll(dataset: Dataset, seen: () => void): Promise<Reading> {
  const { length } = dataset;
  const widths = new Uint32Array(length);
  const heights = new Uint32Array(length);
  const digests = Buffer.alloc(length * DIGEST_BYTES);
  const unreadable: Finding[] = [];
  const misnamed: Finding[] = [];
  let turned = 0;
  let grey16 = 0;

  setImageThreads(availableCores());

  const read = async (index: number) => {
    const source = dataset.source(index);
    let image: Pick<Image, 'width' | 'height'>;
    let bytes: Uint8Array;
    if (isEncoded(source)) {
      bytes = await storedBytes(source);
      const format = misnamedFormat(dataset.describe(index), bytes);
      if (format !== undefined)
        misnamed.push({ index, detail: `wrong extension: this is a ${format} image` });
      const checked = await checkImage(source);
      if (checked.orientation !== 1) turned++;
      if (checked.grey16) grey16++;
      image = checked;
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
    turned,
    grey16,
  };
}

/** A decoder's message without the leading file name, which would repeat the name of the finding's image. */
function withoutFile(dataset: Dataset, index: number, message: string): string {
  const source = dataset.source(index);
  const front = isEncoded(source) ? `${source.file}: ` : '';
  return message.startsWith(front) ? message.slice(front.length) : message;
}

/** The addon's limit for the size of an encoded image. */
const MOST_BYTES = 2 ** 30;

async function storedBytes({ file, start = 0, bytes }: EncodedImage): Promise<Uint8Array> {
  try {
    // Opening a pipe would block, and a device has no end.
    await using handle = await open(pathOf(file), constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await handle.stat();
    const length = bytes ?? stat.size;
    if (!stat.isFile()) throw new Error('not a file');
    if (length > MOST_BYTES) throw new Error(`too large: ${length} bytes`);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, start);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw new InputError(`cannot be read (${errorText(error)})`, { cause: error });
  }
}

function misnamedFormat(name: string, bytes: Uint8Array): string | undefined {
  const format = imageFormatOf(bytes);
  return format === undefined || isNamedAs(format, name) ? undefined : format;
}
