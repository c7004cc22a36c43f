import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TensorData } from '../src/base/tensor-data.js';
import type { Batch } from '../src/data/dataset.js';
import type { StageWeights } from '../src/method/assemble.js';
import { readModelFile } from '../src/models/model-file/model-file.js';
import type { VitConfig } from '../src/models/vit/config.js';
import { vit } from '../src/models/vit/vit.js';
import { readSafetensors } from '../src/weights/safetensors/safetensors.js';

/** The geometry of every golden case (test/golden/README.md). */
export const GOLDEN_VIT: VitConfig = {
  imageSize: 28,
  patchSize: 4,
  channels: 3,
  classes: 10,
  width: 64,
  depth: 8,
  heads: 4,
  mlpRatio: 4,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
};

export const goldenBlueprint = vit(GOLDEN_VIT);

export const IMAGENET_MEAN = [0.485, 0.456, 0.406];
export const IMAGENET_STD = [0.229, 0.224, 0.225];

export function goldenPath(name: string): string {
  return fileURLToPath(new URL(`golden/${name}`, import.meta.url));
}

export function goldenTensors(name: string): Map<string, TensorData> {
  return readSafetensors(goldenPath(name)).tensors;
}

export function goldenJson<T>(name: string): T {
  return JSON.parse(readFileSync(goldenPath(name), 'utf8')) as T;
}

export async function goldenStages(name: string): Promise<StageWeights[]> {
  const { stages } = await readModelFile(goldenPath(name));
  return stages.map((weights) => ({ weights, source: name }));
}

/** The ten training batches of c_batches, grey. */
export function goldenBatches(): Batch[] {
  const tensors = goldenTensors('c_batches.safetensors');
  const grey = tensors.get('gray_u8') as TensorData;
  const labels = numbers(tensors.get('labels') as TensorData);
  const [count, size, height, width] = grey.shape;
  return Array.from({ length: count }, (_, i) => ({
    size,
    channels: 1,
    height,
    width,
    images: grey.data.subarray(i * size * height * width, (i + 1) * size * height * width),
    labels: Int32Array.from(labels.slice(i * size, (i + 1) * size)),
    indices: Int32Array.from({ length: size }, (_, j) => i * size + j),
  }));
}

/** The elements of an F32, F64 or I32 tensor. */
export function numbers({ dtype, data }: TensorData): number[] {
  const bytes = data.slice().buffer;
  if (dtype === 'F32') return Array.from(new Float32Array(bytes));
  if (dtype === 'F64') return Array.from(new Float64Array(bytes));
  if (dtype === 'I32') return Array.from(new Int32Array(bytes));
  throw new TypeError(dtype);
}

export function maxDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) throw new RangeError(`${a.length} against ${b.length} elements`);
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i])), 0);
}
