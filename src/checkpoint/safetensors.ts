import { closeSync, fsyncSync, openSync } from 'node:fs';
import { InputError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import { type OpenFile, readAt, withFile, writeAll } from './file-bytes.js';
import { withFileErrors } from './file-errors.js';
import { encodeHeader, MAX_HEADER_BYTES, parseHeader } from './safetensors-header.js';

export interface SafetensorsFile {
  /** By name, in the order of the file; each owns its bytes. */
  readonly tensors: Map<string, TensorData>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads a whole safetensors file (https://huggingface.co/docs/safetensors), of any size.
 * Throws `InputError` naming the file and the tensor wherever the reference implementation would
 * refuse it, where a key occurs twice, or where a dtype is none of ours.
 */
export function readSafetensors(path: string): SafetensorsFile {
  return withFile(path, (file) => {
    const headerBytes = headerLength(file);
    const dataStart = 8 + headerBytes;
    const header = parseHeader(readAt(file, 8, headerBytes), file.size - dataStart, path);
    const tensors = new Map<string, TensorData>();
    for (const { name, dtype, shape, start, end } of header.entries) {
      tensors.set(name, { dtype, shape, data: readAt(file, dataStart + start, end - start) });
    }
    return { tensors, metadata: header.metadata };
  });
}

/**
 * Writes a safetensors file, byte for byte as the reference does, straight to `path`, and waits
 * until it is on the disk. Not atomic: the caller writes to a temporary name and renames.
 * Throws `InputError` where the path cannot be written, `RunError` when the disk is full or fails, or
 * when a tensor's bytes do not fit its shape.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorData>,
  metadata?: Readonly<Record<string, string>>,
): void {
  const header = encodeHeader(tensors, metadata);
  withFileErrors(path, () => {
    const descriptor = openSync(path, 'w');
    try {
      writeAll(descriptor, header.bytes);
      for (const { data } of header.tensors) writeAll(descriptor, data);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  });
}

function headerLength(file: OpenFile): number {
  const { path, size } = file;
  const hint = 'The file is truncated or not safetensors; fetch or write it again.';
  if (size < 8) throw new InputError(`${path}: ${size} bytes cannot hold a safetensors header`, { hint });
  const length = Buffer.from(readAt(file, 0, 8)).readBigUInt64LE();
  if (length > MAX_HEADER_BYTES) {
    throw new InputError(`${path}: a header of ${length} bytes is over the limit of ${MAX_HEADER_BYTES}`, {
      hint,
    });
  }
  if (8 + Number(length) > size) {
    throw new InputError(`${path}: a header of ${length} bytes does not fit the file's ${size}`, { hint });
  }
  return Number(length);
}
