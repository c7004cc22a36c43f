import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import {
  allocate,
  type OpenFile,
  readAt,
  readInto,
  withFile,
  withFileAsync,
  writeAll,
  writeFile,
} from '../../files/file-bytes.js';
import { readSmallText } from '../../files/small-file.js';
import type { LazyTensor } from '../lazy-tensor.js';
import { encodeHeader, MAX_HEADER_BYTES, parseHeader, type TensorEntry } from './safetensors-header.js';

interface SafetensorsFile {
  /** By name, in the order of the file; each has its own buffer. */
  readonly tensors: Map<string, TensorData>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads a whole safetensors file (https://huggingface.co/docs/safetensors), of any size.
 * Throws `InputError` naming the file and the tensor if the reference implementation would
 * reject it, a key occurs twice, or a dtype is not supported.
 * @param seen receives every byte of the file once, in order, for example to hash the file
 */
export function readSafetensors(path: string, seen: (bytes: Uint8Array) => void = () => {}): SafetensorsFile {
  return withFile(path, (file) => {
    const { entries, metadata } = headerOf(file, seen);
    const data = new Map<string, Uint8Array>();
    // Tensors are contiguous, from the header to the end of the file.
    for (const { name, start, end } of [...entries].sort((a, b) => a.start - b.start)) {
      const bytes = readAt(file, start, end - start);
      for (let at = 0; at < bytes.length; at += SEEN_BYTES) seen(bytes.subarray(at, at + SEEN_BYTES));
      data.set(name, bytes);
    }
    const tensors = entries.map(({ name, dtype, shape }): [string, TensorData] => [
      name,
      { dtype, shape, data: data.get(name) as Uint8Array },
    ]);
    return { tensors: new Map(tensors), metadata };
  });
}

/** Chunk size for `seen`: Node can hash only less than 2 GiB at a time. */
const SEEN_BYTES = 2 ** 28;

/** Reads only the header; tensor data is read on `load()`. */
export function openSafetensors(path: string): {
  readonly tensors: Map<string, LazyTensor>;
  readonly metadata: Readonly<Record<string, string>>;
} {
  const { entries, metadata } = withFile(path, (file) => headerOf(file));
  return { tensors: new Map(entries.map((entry) => [entry.name, lazyTensor(entry, path)])), metadata };
}

/**
 * Writes a safetensors file, byte for byte as the reference does, directly to `path`, and waits
 * until it is on the disk. Not atomic: the caller writes to a temporary name and renames it.
 * Throws `InputError` if the path is not writable, `RunError` if the disk is full or fails, or
 * if the size of a tensor's data does not match its shape.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorData>,
  metadata?: Readonly<Record<string, string>>,
): void {
  writeFile(path, safetensorsWriter(tensors, metadata));
}

/** Returns a function that writes these tensors to an open file. Throws `RunError` if a tensor's data do not fit its shape. */
export function safetensorsWriter(
  tensors: ReadonlyMap<string, TensorData>,
  metadata?: Readonly<Record<string, string>>,
): (descriptor: number) => void {
  const header = encodeHeader(tensors, metadata);
  return (descriptor) => {
    writeAll(descriptor, header.bytes);
    for (const { data } of header.tensors) writeAll(descriptor, data);
  };
}

/** The bytes of a safetensors file, as consecutive parts. Throws `RunError` if a tensor's data do not fit its shape. */
export function safetensorsParts(
  tensors: ReadonlyMap<string, TensorData>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array[] {
  const header = encodeHeader(tensors, metadata);
  return [header.bytes, ...header.tensors.map(({ data }) => data)];
}

function lazyTensor({ dtype, shape, start, end }: TensorEntry, path: string): LazyTensor {
  const loadInto = (target: Uint8Array) => withFileAsync(path, (file) => readInto(file, start, target));
  return {
    dtype,
    shape,
    loadInto,
    // Tensors do not share bytes, so copies never exceed the file's size.
    claim: () => {},
    load: async () => {
      const data = allocate(end - start, path);
      await loadInto(data);
      return { dtype, shape, data };
    },
  };
}

/** Reads the header; the offsets of its entries are relative to the start of the file. */
function headerOf(
  file: OpenFile,
  seen: (bytes: Uint8Array) => void = () => {},
): ReturnType<typeof parseHeader> {
  const headerBytes = headerLength(file, seen);
  const dataStart = 8 + headerBytes;
  const header = readAt(file, 8, headerBytes);
  seen(header);
  const { entries, metadata } = parseHeader(header, file.size - dataStart, file.path);
  const moved = entries.map((entry) => ({
    ...entry,
    start: entry.start + dataStart,
    end: entry.end + dataStart,
  }));
  return { entries: moved, metadata };
}

function headerLength(file: OpenFile, seen: (bytes: Uint8Array) => void): number {
  const { path, size } = file;
  const hint = 'The file is truncated or not a safetensors file; download or write it again.';
  if (size < 8)
    throw new InputError(`${path}: ${size} bytes is too short for a safetensors header`, { hint });
  const start = readAt(file, 0, 8);
  seen(start);
  const length = Buffer.from(start).readBigUInt64LE();
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

/** Hugging Face's and timm's names of the weights in a model's folder, in order of preference. */
export const FOLDER_WEIGHTS = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
];

/** Whether a file is, by its name, an index of the shards that contain a model's tensors. */
export function isShardIndex(path: string): boolean {
  return /\.(safetensors|bin)\.index\.json$/.test(path);
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * Opens a Hugging Face model in several files, by its `model.safetensors.index.json`.
 * Throws `InputError` if a file is missing, damaged, or outside the index's folder.
 */
export function openSafetensorsShards(index: string): Map<string, LazyTensor> {
  const places = shardPlaces(index);
  const shards = new Map<string, ReadonlyMap<string, LazyTensor>>();
  const tensors = new Map<string, LazyTensor>();
  for (const [name, file] of Object.entries(places)) {
    const shard = shards.get(file) ?? openSafetensors(join(dirname(index), file)).tensors;
    shards.set(file, shard);
    const tensor = shard.get(name);
    if (tensor === undefined) throw new InputError(`${index}: the tensor ${name} is not in ${file}`);
    tensors.set(name, tensor);
  }
  return tensors;
}

/**
 * The names of the files with an index's tensors, which are in its folder.
 * Throws `InputError` if the index is damaged, or names a file in another folder.
 */
export function shardNames(index: string): string[] {
  return [...new Set(Object.values(shardPlaces(index)))];
}

/**
 * Maps each tensor of an index to the name of its file, which is in the index's folder.
 * Throws `InputError` if the index is damaged, or names a file in another folder.
 */
export function shardPlaces(index: string): Readonly<Record<string, string>> {
  const places = readIndex(index);
  requireSameFolder(index, Object.values(places));
  return places;
}

function requireSameFolder(index: string, files: readonly string[]): void {
  const outside = files.find((file) => basename(file) !== file || ['', '.', '..'].includes(file));
  if (outside !== undefined)
    throw new InputError(`${index}: refers to ${outside}, which is not in its folder`);
}

function readIndex(path: string): Record<string, string> {
  try {
    return indexSchema.parse(JSON.parse(readSmallText(path))).weight_map;
  } catch (cause) {
    throw new InputError(`${path}: is not an index of weight files`, {
      cause,
      hint: 'Download or write the file again.',
    });
  }
}
