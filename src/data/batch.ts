import { errorText, InputError } from '../base/errors.js';
import { type Batch, type Dataset, type Image, isEncoded } from './dataset.js';
import { decodeImage } from './decode.js';

export type { Batch } from './dataset.js';

/**
 * Loads images `indices` of a data set into one batch, which is there at once if the images are in
 * memory, else promised when all are decoded. Decoding of all of them starts now.
 *
 * @param transform what to do to image `index`; the results must all have the same size and channels.
 * @throws InputError naming the image that cannot be decoded, transformed or put beside the others.
 */
export function loadBatch(
  dataset: Dataset,
  indices: Int32Array,
  transform: (image: Image, index: number) => Image,
): Batch | Promise<Batch> {
  const writer = batchWriter(dataset, indices);
  const waiting: Promise<void>[] = [];
  for (const [slot, index] of indices.entries()) {
    const fail = (error: unknown): never => {
      throw imageError(dataset.describe(index), error);
    };
    const place = (image: Image) => writer.place(slot, transform(image, index));
    try {
      const source = dataset.source(index);
      if (isEncoded(source)) waiting.push(decodeImage(source).then(place).catch(fail));
      else place(source);
    } catch (error) {
      if (waiting.length === 0) fail(error);
      // Beside the others' failures, none of which may go unhandled.
      waiting.push(Promise.reject(error).catch(fail));
      break;
    }
  }
  return waiting.length === 0 ? writer.batch() : Promise.all(waiting).then(() => writer.batch());
}

function batchWriter(dataset: Dataset, indices: Int32Array) {
  const size = indices.length;
  let first: Image | undefined;
  let images = new Uint8Array(0);

  return {
    place(slot: number, image: Image): void {
      if (first === undefined) {
        first = image;
        images = new Uint8Array(size * image.data.length);
      } else if (shapeOf(image) !== shapeOf(first)) {
        throw new InputError(`the image is ${shapeOf(image)}, others of its batch are ${shapeOf(first)}`, {
          hint: 'Make all images of the data set the same size and colour type.',
        });
      }
      writePlanar(image, images, slot * image.data.length);
    },

    batch(): Batch {
      if (first === undefined) throw new InputError('a batch needs at least one image');
      const { channels, height, width } = first;
      const labels = Int32Array.from(indices, (i) => dataset.label(i));
      return { size, channels, height, width, images, labels, indices };
    },
  };
}

function writePlanar({ data, channels }: Image, target: Uint8Array, at: number): void {
  if (channels === 1) {
    target.set(data, at);
    return;
  }
  const plane = data.length / 3;
  for (let from = 0, to = at; from < data.length; from += 3, to++) {
    target[to] = data[from];
    target[to + plane] = data[from + 1];
    target[to + 2 * plane] = data[from + 2];
  }
}

function shapeOf({ width, height, channels }: Image): string {
  return `${width} x ${height} ${channels === 1 ? 'grey' : 'RGB'}`;
}

/** The error as the user's, with the image's name in front unless it is there already. */
function imageError(name: string, error: unknown): InputError {
  const text = errorText(error);
  if (error instanceof InputError && text.includes(name)) return error;
  return new InputError(`${name}: ${text}`, {
    hint: error instanceof InputError ? error.hint : undefined,
    cause: error,
  });
}
