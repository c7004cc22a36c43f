import { basename } from 'node:path';
import { confusionOf } from '../run/confusion.js';
import { picturePath, readDrawnDetails } from '../run/drawn-details.js';
import { type PhaseFolder, readBytes, readRunJson, withRunFile } from '../run/run-folder.js';
import { type SampleKind, samplesOf, samplesPath, stripPath } from '../run/samples.js';
import type { PhaseDetails } from './protocol.js';

/** The confusion matrix of a phase's last evaluation, and its saved sample images. */
export function readPhaseDetails(folder: PhaseFolder): PhaseDetails {
  const samples = (kind: SampleKind) =>
    withoutPlaces(samplesOf(readRunJson(samplesPath(folder.samples, kind))));
  return {
    confusion: confusionOf(readRunJson(folder.confusion)) ?? null,
    train: samples('train'),
    eval: samples('eval'),
    drawn: withoutPlaces(readDrawnDetails(folder)),
  };
}

/** Replaces file paths by file names. */
function withoutPlaces<T extends { readonly images: readonly { readonly file: string }[] }>(
  samples: T | undefined,
): T | null {
  if (samples === undefined) return null;
  return { ...samples, images: samples.images.map((image) => ({ ...image, file: basename(image.file) })) };
}

const MOST_BYTES = 16 << 20;
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** A PNG strip; undefined if the file is missing, too large or not a PNG. */
export function readStrip(folder: PhaseFolder, kind: SampleKind, step: number): Buffer | undefined {
  return readPng(stripPath(folder.samples, kind, step));
}

/** The picture of a drawn image, counted from 0. */
export function readPicture(folder: PhaseFolder, step: number, image: number): Buffer | undefined {
  return readPng(picturePath(folder, step, image));
}

function readPng(path: string): Buffer | undefined {
  return withRunFile(path, (handle, { size }) => {
    if (size > MOST_BYTES) return undefined;
    const bytes = readBytes(handle, 0, size);
    return bytes.subarray(0, PNG.length).equals(PNG) ? bytes : undefined;
  });
}
