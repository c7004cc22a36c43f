import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { readAt, withFile } from '../../files/file-bytes.js';
import { readSmallText } from '../../files/small-file.js';
import type { StageTensors } from '../../weights/layout/model-file-stages.js';
import { type ChosenWeights, noneOf, type WeightsKind } from '../../weights/layout/weights-choice.js';
import { inMemory, type LazyTensor, loadAll } from '../../weights/lazy-tensor.js';
import {
  FOLDER_WEIGHTS,
  isShardIndex,
  openSafetensors,
  openSafetensorsShards,
  readSafetensors,
  shardPlaces,
} from '../../weights/safetensors/safetensors.js';
import { allFamilies } from '../families/families.js';
import type { ModelFamily } from '../family.js';
import type { Layout, ModelHints } from '../layout.js';
import { classesInConfig, classesInHeader, type FileClasses, isConfigOf } from './model-file-classes.js';
import { type LaidOut, readTorchStages, readTorchState, stagesOfState } from './model-file-torch.js';
import { ownWeights } from './own-checkpoint.js';

/** A model's weights, from any supported file. */
export interface ModelFile {
  /** The given path; for a folder that is not a checkpoint of this program, the weights file in it. */
  readonly path: string;
  /** `checkpoint`: a checkpoint folder of this program. */
  readonly format: 'safetensors' | 'checkpoint' | 'torch';
  /** The tensor names' origin. */
  readonly layout: Layout;
  /** By stage-local names such as `blocks.0.attn.qkv.weight`; an undivided model is one stage. */
  readonly stages: readonly StageTensors<TensorData>[];
  /** Metadata of a safetensors header. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Facts about the model from a `config.json` next to the weights; the tensors' shapes take precedence. */
  readonly hints: ModelHints;
  /** The class names, if the file or a `config.json` next to it has them. */
  readonly named?: FileClasses | undefined;
  /** The last trained epoch, from 0, if the file has it. */
  readonly epoch?: number;
  /** Names of the file's tensors that a classifier does not use, such as a decoder's. */
  readonly leftOut: readonly string[];
  /** Present if the file has averaged weights, or several. */
  readonly chosen?: ChosenWeights;
}

export interface ReadModelOptions {
  /** The weights to read if the file has plain and averaged ones. Default: averaged, as in timm. */
  readonly weights?: WeightsKind | undefined;
  /** Your own families of models, in addition to the built-in ones. */
  readonly families?: readonly ModelFamily[] | undefined;
  /** For a checkpoint folder of this program: receives every byte of its `model.safetensors` once, in order. */
  readonly seen?: ((bytes: Uint8Array) => void) | undefined;
}

const epochSchema = z.object({ epoch: z.int().nonnegative() });

/**
 * Reads weights from one of these:
 * - a safetensors file, of this program (`stages.<i>.<name>`) or of an undivided model of timm or Hugging Face;
 * - several files, by their `model.safetensors.index.json` or `pytorch_model.bin.index.json`;
 * - a checkpoint folder of this program, or a Hugging Face model's folder;
 * - a `.pth` of the official code, DeiT, timm or Hugging Face.
 *
 * The format of a single file is detected from its content, not its name. Separate queries, keys and values are joined. Prefixes
 * such as `module.` and tensors that a classifier does not use (`leftOut`) are removed. In a `.pth`, the optimizer's state is not
 * read, and each storage is read once, directly into its place.
 * @throws InputError naming the file and the problem, or if it has no weights of the wanted kind
 *
 * @example
 * const { stages, layout } = await readModelFile('model.safetensors');
 * for (const [name, { shape, dtype }] of stages[0]) console.log(layout, name, dtype, shape);
 */
export async function readModelFile(path: string, options: ReadModelOptions = {}): Promise<ModelFile> {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const model = isFolder ? await readFolder(path, options) : await readWeights(path, options);
  if (options.weights === 'ema' && model.chosen?.kind !== 'ema') {
    throw noneOf('ema', [{ name: 'plain weights', kind: 'raw' }], path);
  }
  return model;
}

async function readFolder(path: string, options: ReadModelOptions): Promise<ModelFile> {
  const manifest = join(path, 'manifest.json');
  const names = existsSync(manifest) ? FOLDER_WEIGHTS.slice(0, 1) : FOLDER_WEIGHTS;
  const weights = names.map((name) => join(path, name)).find((file) => existsSync(file));
  if (weights === undefined) throw noCheckpoint(path, join(path, FOLDER_WEIGHTS[0]));
  if (existsSync(manifest)) return readOwn(path, weights, manifest, options);
  const model = await readWeights(weights, options);
  if (model.layout === 'deep-incubation') throw noCheckpoint(path, manifest);
  return model;
}

async function readOwn(
  path: string,
  weights: string,
  manifest: string,
  options: ReadModelOptions,
): Promise<ModelFile> {
  const { tensors, metadata } = readSafetensors(weights, options.seen);
  const model = new Map([...tensors].map(([name, tensor]) => [name, inMemory(tensor)]));
  const { state, chosen } = ownWeights(path, model, options.weights);
  const laidOut = laidOutState(state, weights, { families: options.families });
  const file = await load(laidOut, { path, format: 'checkpoint', metadata }, options);
  return { ...file, ...epochOf(manifest), ...(chosen === undefined ? {} : { chosen }) };
}

async function readWeights(path: string, options: ReadModelOptions): Promise<ModelFile> {
  if (isShardIndex(path)) return readShards(path, options);
  const start = Buffer.from(withFile(path, (file) => readAt(file, 0, Math.min(file.size, 9))));
  // In a safetensors file, JSON follows the 8-byte length of the header.
  if (start[8] === 0x7b) {
    const { tensors, metadata } = openSafetensors(path);
    return load(laidOutState(tensors, path, options), { path, format: 'safetensors', metadata }, options);
  }
  // torch.save's zip archive, or its format before 1.6, a sequence of pickles.
  if (start.subarray(0, 2).equals(Buffer.from('PK')) || start[0] === 0x80) {
    const { epoch, named, ...laidOut } = await readTorchStages(path, {
      wanted: options.weights,
      families: options.families,
    });
    const model = await load(laidOut, { path, format: 'torch', metadata: {}, named }, options);
    return epoch === undefined ? model : { ...model, epoch };
  }
  throw new InputError(`${path}: neither a safetensors file nor a file of torch.save`);
}

async function readShards(index: string, options: ReadModelOptions): Promise<ModelFile> {
  const isTorch = index.endsWith('.bin.index.json');
  const tensors = isTorch ? await openTorchShards(index) : openSafetensorsShards(index);
  const file = { path: index, format: isTorch ? 'torch' : 'safetensors', metadata: {} } as const;
  return load(laidOutState(tensors, index, options), file, options);
}

/** Opens a Hugging Face model in several files that `torch.save` wrote. */
async function openTorchShards(index: string): Promise<ReadonlyMap<string, LazyTensor>> {
  const places = shardPlaces(index);
  const shards = new Map<string, ReadonlyMap<string, LazyTensor>>();
  for (const file of new Set(Object.values(places))) {
    shards.set(file, await readTorchState(join(dirname(index), file)));
  }
  return new Map(
    Object.entries(places).map(([name, file]) => {
      const tensor = shards.get(file)?.get(name);
      if (tensor === undefined) throw new InputError(`${index}: the tensor ${name} is not in ${file}`);
      return [name, tensor];
    }),
  );
}

function laidOutState(
  tensors: ReadonlyMap<string, LazyTensor>,
  path: string,
  { weights: wanted, families }: ReadModelOptions,
): LaidOut {
  if (tensors.size === 0) throw new InputError(`${path}: contains no tensors`);
  return stagesOfState(tensors, path, { wanted, families });
}

async function load(
  { layout, stages, leftOut, chosen }: LaidOut,
  file: Pick<ModelFile, 'path' | 'format' | 'metadata' | 'named'>,
  options: ReadModelOptions,
): Promise<ModelFile> {
  const { path, format, metadata } = file;
  const hints = hintsFor(layout, file, options);
  const config = hints && classesInConfig(dirname(path));
  const model = {
    path,
    format,
    metadata,
    layout,
    leftOut,
    hints: hints ?? {},
    named: file.named ?? classesInHeader(path, metadata) ?? config,
    stages: await loadAll(stages),
  };
  return chosen === undefined ? model : { ...model, chosen };
}

/** The facts in the file's folder, if a `config.json` there describes the file. */
function hintsFor(layout: Layout, file: Pick<ModelFile, 'path' | 'format'>, options: ReadModelOptions) {
  const found = allFamilies(options.families)
    .flatMap(({ layouts }) => layouts)
    .find(({ name }) => name === layout);
  if (found?.hintsIn === undefined) return undefined;
  const { path, format } = file;
  // The folder of a .pth often contains other models too, which its config.json may describe.
  const isAlone = format === 'safetensors' || FOLDER_WEIGHTS.includes(basename(path));
  return found.isFolder || (isAlone && isConfigOf(path)) ? found.hintsIn(dirname(path)) : undefined;
}

function epochOf(manifest: string): { epoch?: number } {
  const text = readSmallText(manifest);
  try {
    return epochSchema.safeParse(JSON.parse(text)).data ?? {};
  } catch (cause) {
    throw new InputError(`${manifest}: invalid JSON`, { cause, hint: 'Use another checkpoint of the run.' });
  }
}

function noCheckpoint(path: string, missing: string): InputError {
  return new InputError(`${path}: is not a checkpoint: ${missing} is missing`, {
    hint: 'Name a file, or a folder such as PT/checkpoints/1000 of a run.',
  });
}
