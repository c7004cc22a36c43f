import { type DType, dtypeSize, elementCount, type TensorData } from '../../src/base/tensor-data.js';
import { writeFile } from '../../src/files/file-bytes.js';
import { officialFile } from '../../src/models/vit/layout-official.js';
import { type TorchValue, torchFileWriter } from '../../src/weights/torch-file/torch-file-write.js';

const WIDTH = 1280;
const DTYPE: DType = 'F32';

/** Arbitrary bytes. Tensors are slices at different offsets, so that memory use stays small. */
const noise = Float32Array.from({ length: 2 ** 24 }, (_, i) => Math.sin(i));

/**
 * Writes a checkpoint like the official code's for a ViT-H/14 in four stages: every tensor under three names, and an AdamW state.
 * @param moments of all parameters, or only of vectors, which need few bytes
 * @returns the size of the weights in bytes
 */
export function writeVitHuge(path: string, blocks: number, moments: 'all' | 'vectors'): number {
  let place = 0;
  const tensor = (shape: readonly number[]): TensorData => {
    const length = elementCount(shape) * dtypeSize(DTYPE);
    return { dtype: DTYPE, shape, data: new Uint8Array(noise.buffer, 64 * place++, length) };
  };
  const stages = [0, 1, 2, 3].map((index) => stageOf(index, blocks / 4, tensor));
  const weights = stages.flatMap((stage) => [...stage.values()]);
  const state = weights.flatMap(({ shape }, i): [number, TorchValue][] => {
    if (moments === 'vectors' && shape.length > 1) return [];
    const entry = { step: 1000, exp_avg: tensor(shape), exp_avg_sq: tensor(shape) };
    return [[i, new Map<string, TorchValue>(Object.entries(entry))]];
  });
  const optimizer = new Map<string, TorchValue>([
    ['state', new Map(state)],
    ['param_groups', [new Map<string, TorchValue>([['lr', 1e-3]])]],
  ]);
  const file = new Map<string, TorchValue>([
    ...officialFile(stages),
    ['optimizer', optimizer],
    ['epoch', 99],
  ]);
  writeFile(path, torchFileWriter(file));
  return weights.reduce((sum, { data }) => sum + data.length, 0);
}

function stageOf(index: number, blocks: number, tensor: (shape: readonly number[]) => TensorData) {
  const shapes: [string, number[]][] = [];
  if (index === 0) {
    shapes.push(
      ['pos_embed', [1, 257, WIDTH]],
      ['cls_token', [1, 1, WIDTH]],
      ['patch_embed.proj.weight', [WIDTH, 3, 14, 14]],
      ['patch_embed.proj.bias', [WIDTH]],
    );
  }
  for (let block = 0; block < blocks; block++) {
    shapes.push(
      ...linear(`blocks.${block}.norm1`, [WIDTH]),
      [`blocks.${block}.attn.qkv.weight`, [3 * WIDTH, WIDTH]],
      ...linear(`blocks.${block}.attn.proj`, [WIDTH, WIDTH]),
      ...linear(`blocks.${block}.norm2`, [WIDTH]),
      ...linear(`blocks.${block}.mlp.fc1`, [4 * WIDTH, WIDTH]),
      ...linear(`blocks.${block}.mlp.fc2`, [WIDTH, 4 * WIDTH]),
    );
  }
  if (index === 3) shapes.push(...linear('norm', [WIDTH]), ...linear('head', [1000, WIDTH]));
  return new Map(shapes.map(([name, shape]) => [name, tensor(shape)]));
}

function linear(name: string, weight: number[]): [string, number[]][] {
  return [
    [`${name}.weight`, weight],
    [`${name}.bias`, weight.slice(0, 1)],
  ];
}
