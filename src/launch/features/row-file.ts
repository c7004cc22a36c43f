import { closeSync, openSync, rmSync } from 'node:fs';
import { makeFolders, temporaryPath } from '../../files/atomic.js';
import { readAt, writeAll } from '../../files/file-bytes.js';
import { withFileErrors } from '../../files/file-errors.js';
import type { FeatureRows } from '../../tasks/classification/feature-rows.js';
import type { FeatureBatch } from './image-features.js';

/** Rows of features in a temporary file, with their labels in memory. */
export interface RowFile {
  add(batch: Pick<FeatureBatch, 'width' | 'features' | 'labels'>): void;
  /** The rows that were added. */
  rows(): FeatureRows;
  /** Passes the bytes of all features, little-endian F32 [N, D], in parts. */
  bytes(use: (part: Uint8Array) => void): void;
  close(): void;
}

const PART_BYTES = 2 ** 23;

/**
 * A file in `folder`, which has no name, so that a killed process leaves nothing behind.
 * @throws InputError if the folder is not writable, RunError if the disk is full; also from `add`
 */
export function rowFile(folder: string): RowFile {
  const path = temporaryPath(folder, 'features');
  const descriptor = withFileErrors(path, () => {
    makeFolders(folder);
    const opened = openSync(path, 'wx+');
    rmSync(path);
    return opened;
  });
  const labels: number[] = [];
  let width = 0;
  const size = () => labels.length * width * Float32Array.BYTES_PER_ELEMENT;
  const part = (at: number, length: number) => readAt({ path, descriptor, size: size() }, at, length);
  return {
    add(batch) {
      width = batch.width;
      const { buffer, byteOffset, byteLength } = batch.features;
      const at = size();
      withFileErrors(path, () => writeAll(descriptor, new Uint8Array(buffer, byteOffset, byteLength), at));
      for (const label of batch.labels) labels.push(label);
    },
    rows() {
      const rowBytes = width * Float32Array.BYTES_PER_ELEMENT;
      return {
        count: labels.length,
        width,
        labels: Int32Array.from(labels),
        read: (from, to) => new Float32Array(part(from * rowBytes, (to - from) * rowBytes).buffer),
      };
    },
    bytes(use) {
      for (let at = 0; at < size(); at += PART_BYTES) use(part(at, Math.min(PART_BYTES, size() - at)));
    },
    close: () => closeSync(descriptor),
  };
}
