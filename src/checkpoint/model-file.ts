import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import { readAt, withFile } from './file-bytes.js';
import { type Stage, splitStages } from './model-file-stages.js';
import { readTorchStages } from './model-file-torch.js';
import { readSafetensors, writeSafetensors } from './safetensors.js';

/** A model's weights, from whichever file they came. */
export interface ModelFile {
  readonly path: string;
  /** `checkpoint`: one of our checkpoint folders. */
  readonly format: 'safetensors' | 'checkpoint' | 'torch';
  /** By stage-local names such as `blocks.0.attn.qkv.weight`; an undivided model is one stage. */
  readonly stages: readonly Stage<TensorData>[];
  /** What a safetensors header carries beside the tensors. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The last epoch trained, from 0, where the file says. */
  readonly epoch?: number;
}

const epochSchema = z.object({ epoch: z.int().nonnegative() });

/**
 * Reads weights from a safetensors file (ours, with `stages.<i>.<name>`, or an undivided model's),
 * from one of our checkpoint folders, or from a `.pth` of the official code, DeiT or timm. Content
 * decides, not the name. Of a `.pth`, the optimizer's state is not read.
 * Throws `InputError` naming the file and what is wrong with it.
 */
export async function readModelFile(path: string): Promise<ModelFile> {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return readCheckpointFolder(path);
  const start = Buffer.from(withFile(path, (file) => readAt(file, 0, Math.min(file.size, 9))));
  // Torch's zip archive, or the row of pickles from before 1.6.
  if (start.subarray(0, 2).equals(Buffer.from('PK')) || start[0] === 0x80) return readTorchModel(path);
  // Behind a safetensors header's length comes JSON.
  if (start[8] === 0x7b) return readSafetensorsModel(path);
  throw new InputError(`${path}: neither a safetensors file nor one that torch.save wrote`);
}

/** Writes `stages.<i>.<name>` as safetensors, straight to `path` (see `writeSafetensors`). */
export function writeModelSafetensors(
  path: string,
  stages: readonly Stage<TensorData>[],
  metadata?: Readonly<Record<string, string>>,
): void {
  const named = stages.flatMap((stage, i) =>
    [...stage].map(([name, tensor]): [string, TensorData] => [`stages.${i}.${name}`, tensor]),
  );
  writeSafetensors(path, new Map(named), metadata);
}

function readSafetensorsModel(path: string): ModelFile {
  const { tensors, metadata } = readSafetensors(path);
  if (tensors.size === 0) throw new InputError(`${path}: holds no tensors`);
  return { path, format: 'safetensors', stages: splitStages(tensors, path), metadata };
}

function readCheckpointFolder(path: string): ModelFile {
  const [model, manifest] = ['model.safetensors', 'manifest.json'].map((file) => join(path, file));
  for (const file of [model, manifest]) {
    if (existsSync(file)) continue;
    throw new InputError(`${path}: is no checkpoint: ${file} is missing`, {
      hint: 'Give a file, or a folder such as PT/checkpoints/1000 of a run.',
    });
  }
  return { ...readSafetensorsModel(model), path, format: 'checkpoint', ...epochOf(manifest) };
}

function epochOf(manifest: string): { epoch?: number } {
  try {
    return epochSchema.safeParse(JSON.parse(readFileSync(manifest, 'utf8'))).data ?? {};
  } catch (cause) {
    throw new InputError(`${manifest}: is not JSON`, { cause, hint: 'Use another checkpoint of the run.' });
  }
}

async function readTorchModel(path: string): Promise<ModelFile> {
  const { stages, epoch } = await readTorchStages(path);
  const loaded = stages.map((stage) => new Map([...stage].map(([name, tensor]) => [name, tensor.load()])));
  return { path, format: 'torch', stages: loaded, metadata: {}, ...(epoch === undefined ? {} : { epoch }) };
}
