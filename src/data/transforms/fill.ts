import { errorText, InputError } from '../../base/errors.js';
import { closeImages, type ImageJob, type OpenedFile, openImages, runImages } from '../../torch/images.js';
import { type Box, type EncodedImage, type Image, isEncoded } from '../dataset.js';
import { decodeImage } from '../images/decode.js';
import { encodeProgram, type PixelProgram } from './pixels.js';
import { type ImageSize, sizeAfter } from './transform.js';

/** A place in a batch, and its image: number `index` of the data set. */
export interface Slot {
  readonly slot: number;
  readonly index: number;
  readonly source: Image | EncodedImage;
}

/** Processing of one image. */
export interface ImagePlan {
  readonly program: PixelProgram;
  /** Box to erase from the result. */
  readonly erased?: Box;
}

/** A batch that is being loaded. */
export interface Loading {
  readonly canvas: Canvas;
  /** Boxes to erase, by slot. */
  readonly erased: Map<number, Box>;
  readonly plan: (size: ImageSize, slot: Slot) => ImagePlan;
  readonly describe: (index: number) => string;
  readonly signal: AbortSignal | undefined;
}

/** Reason for an empty slot. */
export interface Failure {
  readonly slot: Slot;
  readonly error: InputError;
  /** True if the file cannot be read; false if the transform fails, or the image does not match its batch. */
  readonly isUnreadable: boolean;
}

/**
 * Fills the slots if all images are in memory and need no processing; otherwise returns false.
 * @throws InputError naming the image that cannot be planned or does not match its batch
 */
export function fillAtOnce(loading: Loading, slots: readonly Slot[]): boolean {
  for (const slot of slots) {
    const { source } = slot;
    if (isEncoded(source)) return false;
    try {
      if (programFor(loading, slot, source).length > 0) return false;
    } catch (error) {
      throw failureOf(loading, slot, error).error;
    }
    lay(source, slot.slot, loading.canvas);
  }
  return true;
}

/** Fills all slots that can be filled. If the signal is aborted, opened files are closed unread. Failures are in slot order. */
export async function fill(loading: Loading, slots: readonly Slot[]): Promise<Failure[]> {
  const files = slots.filter(isFile);
  const opened = files.length === 0 ? [] : await openImages(files.map(({ source }) => source));
  if (loading.signal?.aborted) {
    closeImages(opened.flatMap((file) => ('handle' in file ? [file.handle] : [])));
    return [];
  }
  const failures: Failure[] = [];
  const ready: Found[] = slots.flatMap((slot) => (isEncoded(slot.source) ? [] : [[slot, slot.source]]));
  const decoding: Promise<Failure[]>[] = [];
  for (const [i, slot] of files.entries()) {
    const file = opened[i];
    if ('error' in file) failures.push(unreadable(loading, slot, file.error));
    else if ('handle' in file) ready.push([slot, jpegOf(slot, file)]);
    else decoding.push(decodeThenPlace(loading, slot, file.bytes));
  }
  const rest = await Promise.all([place(loading, ready), ...decoding]);
  return [...failures, ...rest.flat()].sort((a, b) => a.slot.slot - b.slot.slot);
}

type FileSlot = Slot & { readonly source: EncodedImage };

function isFile(slot: Slot): slot is FileSlot {
  return isEncoded(slot.source);
}

/** A JPEG in the addon's memory. */
interface OpenedJpeg extends ImageSize {
  readonly handle: number;
  /** EXIF orientation, if the pixels must be turned. The size is that of the turned image. */
  readonly orientation?: number;
}

/** An image whose size is known. */
type Found = [slot: Slot, image: Image | OpenedJpeg];

function jpegOf(
  { source }: FileSlot,
  { handle, width, height, orientation }: Extract<OpenedFile, { handle: number }>,
): OpenedJpeg {
  if (source.exif !== 'apply' || orientation === 1) return { handle, width, height, channels: 3 };
  const size = orientation >= 5 ? { width: height, height: width } : { width, height };
  return { handle, ...size, channels: 3, orientation };
}

async function decodeThenPlace(loading: Loading, slot: FileSlot, bytes: Buffer): Promise<Failure[]> {
  try {
    return await place(loading, [[slot, await decodeImage(bytes, slot.source)]]);
  } catch (error) {
    return [unreadable(loading, slot, error)];
  }
}

async function place(loading: Loading, found: readonly Found[]): Promise<Failure[]> {
  const failures: Failure[] = [];
  const slots: Slot[] = [];
  const jobs: ImageJob[] = [];
  for (const [slot, image] of found) {
    try {
      jobs.push(jobFor(slot, image, programFor(loading, slot, image)));
      slots.push(slot);
    } catch (error) {
      if ('handle' in image) closeImages([image.handle]);
      failures.push(failureOf(loading, slot, error));
    }
  }
  if (jobs.length === 0) return failures;
  const { size, pixels } = loading.canvas;
  for (const [i, error] of (await runImages(jobs, size, pixels)).entries()) {
    if (error === null) continue;
    failures.push(('handle' in jobs[i] ? unreadable : failureOf)(loading, slots[i], error));
  }
  return failures;
}

/** The program for an image, after a check that its result has the size of its batch. */
function programFor(loading: Loading, slot: Slot, size: ImageSize): PixelProgram {
  const { program, erased } = loading.plan(size, slot);
  loading.canvas.admit(sizeAfter(size, program));
  if (erased === undefined) loading.erased.delete(slot.slot);
  else loading.erased.set(slot.slot, erased);
  return program;
}

function jobFor({ slot }: Slot, image: Found[1], program: PixelProgram): ImageJob {
  if ('handle' in image) {
    const { handle, orientation } = image;
    const turned: PixelProgram =
      orientation === undefined ? program : [{ op: 'orient', orientation }, ...program];
    return { program: encodeProgram(turned), slot, handle };
  }
  const job = { program: encodeProgram(program), slot };
  const { data, width, height, channels } = image;
  return { ...job, pixels: data, width, height, channels };
}

function unreadable({ describe }: Loading, slot: Slot, reason: unknown): Failure {
  const error = new InputError(`${describe(slot.index)}: cannot be read as an image (${errorText(reason)})`, {
    hint: 'Restore the file or remove it from its folder.',
    cause: reason,
  });
  return { slot, error, isUnreadable: true };
}

/** The error as an InputError that starts with the image's name. */
function failureOf({ describe }: Loading, slot: Slot, reason: unknown): Failure {
  const hint = reason instanceof InputError ? reason.hint : undefined;
  const error = new InputError(`${describe(slot.index)}: ${errorText(reason)}`, { hint, cause: reason });
  return { slot, error, isUnreadable: false };
}

/** Collects the images of a batch. */
interface Canvas {
  /** Size of each image. @throws InputError if there is no image yet */
  readonly size: ImageSize;
  /** Slots x channels x height x width, planar. */
  readonly pixels: Uint8Array;
  /** The first image sets the size of all. @throws InputError if a later image has another size */
  admit(size: ImageSize): void;
}

export function createCanvas(slots: number): Canvas {
  let admitted: ImageSize | undefined;
  let pixels = new Uint8Array(0);
  return {
    get size() {
      if (admitted === undefined) throw new InputError('a batch needs at least one image');
      return admitted;
    },
    get pixels() {
      return pixels;
    },
    admit(size) {
      if (admitted === undefined) {
        const { width, height, channels } = size;
        admitted = { width, height, channels };
        pixels = new Uint8Array(slots * channels * height * width);
      } else if (textOf(size) !== textOf(admitted)) {
        throw new InputError(
          `the image is ${textOf(size)}, but others in its batch are ${textOf(admitted)}`,
          {
            hint: 'Make all images of the data set the same size and colour type.',
          },
        );
      }
    },
  };
}

/** Copies an image into its slot, planar. */
function lay({ data, channels }: Image, slot: number, { pixels }: Canvas): void {
  const start = slot * data.length;
  if (channels === 1) {
    pixels.set(data, start);
    return;
  }
  const plane = data.length / 3;
  for (let from = 0, to = start; from < data.length; from += 3, to++) {
    pixels[to] = data[from];
    pixels[to + plane] = data[from + 1];
    pixels[to + 2 * plane] = data[from + 2];
  }
}

function textOf({ width, height, channels }: ImageSize): string {
  return `${width} x ${height} ${channels === 1 ? 'grey' : 'RGB'}`;
}
