import { pathOf } from '../files/file-names.js';
import { tooManyFiles } from '../files/open-files.js';
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
 * Reads files into memory, on the addon's threads; what a JPEG's header tells, and the bytes of others.
 * Every handle must be given to `runImages` or `closeImages`. Bytes that end early are an error of that file.
 * @throws RunError where no further file can be opened
 */
export async function openImages(files: readonly ImageFile[]): Promise<OpenedFile[]> {
  const opened = await native.openImages(files.map((each) => ({ ...each, file: pathOf(each.file) })));
  const lacking = opened.findIndex((each) => 'error' in each && each.error.startsWith('Too many open files'));
  if (lacking < 0) return opened;
  native.closeImages(opened.flatMap((each) => ('handle' in each ? [each.handle] : [])));
  // Not the image's fault: it is not to be replaced by another.
  throw tooManyFiles(files[lacking].file);
}

/** One size for a batch of images. */
export interface ImageShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Decodes, transforms and lays images into `into` (slots x channels x height x width, planar), on the addon's
 * threads. Gives for each job null, or why its slot was not filled. Frees the jobs' handles. `jobs`, their
 * pixels and `into` may not be changed meanwhile.
 */
export function runImages(
  jobs: readonly ImageJob[],
  { channels, height, width }: ImageShape,
  into: Uint8Array,
): Promise<(string | null)[]> {
  return native.runImages(jobs, channels, height, width, into);
}

/** Executes a program on pixels (height x width x channels, interleaved) at once, on the calling thread. */
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

/** Files that the native side holds in memory. */
export function liveImages(): number {
  return native.liveImages();
}

/** Threads for images, in this process or worker thread, from now on. Idle ones do not keep it alive. */
export function setImageThreads(threads: number): void {
  native.setImageThreads(threads);
}

/** What decodes JPEGs on the addon's threads, such as `libjpeg-turbo 2.1.5`; undefined: nothing. */
export function jpegDecoder(): string | undefined {
  return native.jpegDecoder() || undefined;
}
