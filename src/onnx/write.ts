import { existsSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { byteLength, chunksOf, type Encoded } from '../base/protobuf.js';
import { evalShorterSide } from '../data/transforms/transform.js';
import { replaceFile, writeAll } from '../files/file-bytes.js';
import type { Graph, Initializer } from './graph.js';
import { graphProto, modelProto, nodeProto, tensorProto, valueInfoProto } from './proto.js';

/** Version of the operator set: the first one with LayerNormalization (ONNX 1.12, 2022). */
export const OPERATOR_SET = 17;

/** Protocol buffers are limited to 2 GiB; a file up to this size is easily read in one piece. */
const MOST_INLINE_BYTES = 1.5e9;
/** Smaller constants always stay in the model's file: shapes must be known there. */
const LEAST_EXTERNAL_BYTES = 1024;
/** Alignment of tensors in the data file, so that a reader can map them into memory. */
const PAGE_BYTES = 4096;

interface OnnxModel {
  readonly graph: Graph;
  readonly producer: { readonly name: string; readonly version: string };
  /** Facts about the model, stored as its metadata. */
  readonly metadata: Readonly<Record<string, string>>;
}

interface OnnxFiles {
  readonly bytes: number;
  /** Path of the separate weights file, if there is one. */
  readonly data: string | undefined;
}

/** Path of the weights file for the model at `path`, if the weights are not inside it. */
export function dataPathOf(path: string): string {
  return `${path}.data`;
}

/**
 * Writes an ONNX model atomically. If the weights have more than 1.5 GB in all, which may not fit into a protocol buffer, or
 * with `external`, they are written to `<path>.data` next to it, one at a time. Otherwise a `<path>.data` of an earlier model
 * is removed.
 *
 * @throws InputError if the path is not writable
 * @throws RunError if the disk is full
 */
export function writeOnnx(
  path: string,
  { graph, producer, metadata }: OnnxModel,
  options: { readonly external?: boolean } = {},
): OnnxFiles {
  const weights = graph.initializers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const dataPath = dataPathOf(path);
  const isExternal = options.external === true || weights > MOST_INLINE_BYTES;
  const { tensors, dataBytes } = isExternal
    ? writeData(dataPath, graph.initializers)
    : { tensors: graph.initializers.map(inline), dataBytes: 0 };
  const model = modelProto({
    producer,
    operatorSet: OPERATOR_SET,
    graph: graphProto({
      name: 'classifier',
      nodes: graph.nodes.map(nodeProto),
      initializers: tensors,
      inputs: graph.inputs.map(({ name, shape }) => valueInfoProto(name, shape)),
      outputs: graph.outputs.map(({ name, shape }) => valueInfoProto(name, shape)),
    }),
    metadata,
  });
  replaceFile(path, (descriptor) => {
    for (const chunk of chunksOf(model)) writeAll(descriptor, chunk);
  });
  if (!isExternal && existsSync(dataPath)) rmSync(dataPath);
  return { bytes: byteLength(model) + dataBytes, data: isExternal ? dataPath : undefined };
}

function writeData(path: string, initializers: readonly Initializer[]) {
  const tensors: Encoded[] = [];
  let end = 0;
  replaceFile(path, (descriptor) => {
    for (const initializer of initializers) {
      if (initializer.byteLength < LEAST_EXTERNAL_BYTES) {
        tensors.push(inline(initializer));
        continue;
      }
      const offset = Math.ceil(end / PAGE_BYTES) * PAGE_BYTES;
      writeAll(descriptor, initializer.load(), offset);
      end = offset + initializer.byteLength;
      const place = { location: basename(path), offset, length: initializer.byteLength };
      tensors.push(tensorProto({ ...initializer, data: place }));
    }
  });
  return { tensors, dataBytes: end };
}

function inline(initializer: Initializer): Encoded {
  return tensorProto({ ...initializer, data: initializer.load() });
}

export interface Normalisation {
  /** Per channel, for pixels from 0 to 1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Whether the graph normalises; otherwise the caller must normalise the pixels. */
  readonly inside: boolean;
}

export interface ModelFacts {
  readonly config: { readonly imageSize: number; readonly channels: number };
  /** The model family's keys, as in a recipe. */
  readonly geometry: Readonly<Record<string, unknown>>;
  readonly normalisation: Normalisation;
  /** Fraction of the resized shorter side that the evaluation crop keeps; undefined if evaluation does not crop. */
  readonly evalCrop: number | undefined;
  /** In the order of the labels; undefined if they are unknown. */
  readonly classNames: readonly string[] | undefined;
  /** Origin of the weights: checkpoint, phase, step, ... */
  readonly origin: Readonly<Record<string, string>>;
}

/**
 * Metadata of an ONNX model (`metadata_props`); numbers and lists are JSON.
 * - `pixels`: `0..1` or `normalised`; `mean`, `std`: per channel, for pixels from 0 to 1; `channels`: `RGB`, or
 *   `grey`, the luma of ITU-R 601;
 * - `image_size`; `resize_shorter`: pixels to which the shorter side is resized (bicubic) before the centre crop, as in
 *   evaluation; missing for a model that labels pixels;
 * - `class_names`, if they are known; the model's own keys, such as `patch_size`, `depth`, `heads`;
 * - `checkpoint`; for this program's own checkpoints also `phase`, `step`, `seed` and the primary metric.
 */
export function metadataOf({
  config,
  geometry,
  normalisation,
  evalCrop,
  classNames,
  origin,
}: ModelFacts): Record<string, string> {
  const { imageSize, channels } = config;
  const { channels: _channels, classes: _classes, ...ofFamily } = geometry;
  const facts = {
    mean: normalisation.mean,
    std: normalisation.std,
    ...ofFamily,
    ...(evalCrop !== undefined && { resize_shorter: evalShorterSide(imageSize, evalCrop) }),
    ...(classNames && { class_names: classNames }),
  };
  return {
    pixels: normalisation.inside ? '0..1' : 'normalised',
    ...(channels === 3 && { channels: 'RGB' }),
    ...(channels === 1 && { channels: 'grey' }),
    ...Object.fromEntries(Object.entries(facts).map(([key, value]) => [key, JSON.stringify(value)])),
    ...origin,
  };
}
