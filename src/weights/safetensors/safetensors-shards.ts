import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import { readSmallText } from '../../files/small-file.js';
import type { LazyTensor } from '../lazy-tensor.js';
import { openSafetensors } from './safetensors.js';

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
