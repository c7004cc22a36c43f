import { tooManyFiles } from '../files/file-errors.js';
import { pathOf } from '../files/file-names.js';
import {
  type Handle,
  type ImageFile,
  type ImageJob,
  type NativeImage,
  native,
  type OpenedFile,
} from './native.js';

export type { ImageFile, ImageJob, OpenedFile } from './native.js';

/**
 * Reads files into memory on the addon's threads. Returns a handle and the header's facts for a JPEG, the bytes for any
 * other file. Pass every handle to `runImages` or `closeImages`. A file that ends early gives an error for that file.
 * @throws RunError if too many files are open
 */
export async function openImages(files: readonly ImageFile[]): Promise<OpenedFile[]> {
  const opened = await native.openImages(files.map((each) => ({ ...each, file: pathOf(each.file) })));
  const lacking = opened.findIndex((each) => 'error' in each && each.error.startsWith('Too many open files'));
  if (lacking < 0) return opened;
  native.closeImages(opened.flatMap((each) => ('handle' in each ? [each.handle] : [])));
  // The image is not at fault, so the caller must not replace it with another one.
  throw tooManyFiles(files[lacking].file);
}

/** Size of every image in a batch. */
interface ImageShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Decodes and transforms images and writes them to `into` (slots x channels x height x width, planar), on the addon's
 * threads. Frees the jobs' handles. Do not change `jobs`, their pixels or `into` until the promise resolves.
 * @returns for each job null, or the reason why its slot was not filled
 */
export function runImages(
  jobs: readonly ImageJob[],
  { channels, height, width }: ImageShape,
  into: Uint8Array,
): Promise<(string | null)[]> {
  return native.runImages(jobs, channels, height, width, into);
}

/** Runs a program on pixels (height x width x channels, interleaved) synchronously, on the calling thread. */
export function runInMemory(
  pixels: Uint8Array,
  { channels, height, width }: ImageShape,
  program: Float64Array,
): NativeImage {
  return native.runProgram(pixels, width, height, channels, program);
}

/** Frees images that will not be run. */
export function closeImages(handles: readonly Handle[]): void {
  native.closeImages(handles);
}

/** Number of files that the native side holds in memory. */
export function liveImages(): number {
  return native.liveImages();
}

/** Sets the number of image threads of this process or worker thread. Idle threads do not keep it alive. */
export function setImageThreads(threads: number): void {
  native.setImageThreads(threads);
}

/** The addon's JPEG decoder, such as `libjpeg-turbo 2.1.5`; undefined if it has none. */
export function jpegDecoder(): string | undefined {
  return native.jpegDecoder() || undefined;
}
