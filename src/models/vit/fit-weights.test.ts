import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  GOLDEN_VIT,
  goldenStages,
  goldenTensors,
  IMAGENET_MEAN,
  maxDifference,
  numbers,
} from '../../../test/support.js';
import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { assemble } from '../../method/assemble.js';
import { noGrad } from '../../torch/autograd.js';
import { to } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { scope } from '../../torch/scope.js';
import { fromArray, fromData } from '../../torch/tensor.js';
import { vitFamily } from './family.js';
import { fitStem, newHead, resizePositionEmbedding } from './fit-weights.js';
import { vit } from './vit.js';

// Made by the official code: test/golden/README.md.
const golden = goldenTensors('e_pos_embed.safetensors');
const source = golden.get('source_7x7') as TensorData;

function embedding(values: Iterable<number>, slots: number): TensorData {
  const data = new Uint8Array(Float32Array.from(values).buffer);
  return { dtype: 'F32', shape: [1, slots, data.length / 4 / slots], data };
}

describe('resizePositionEmbedding', () => {
  test.each([5, 10, 14])('to a grid of %i equals the official result', (grid) => {
    const resized = resizePositionEmbedding(source, { grid, prefixTokens: 1 });
    const official = golden.get(`to_${grid}x${grid}`) as TensorData;
    expect(resized).toMatchObject({ dtype: 'F32', shape: official.shape });
    expect(maxDifference(numbers(resized), numbers(official))).toBeLessThan(1e-6);
  });

  test('to its own grid returns it unchanged', () => {
    expect(resizePositionEmbedding(source, { grid: 7, prefixTokens: 1 })).toBe(source);
  });

  test('keeps the slots before the patches, and a constant stays constant', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        (prefixTokens, from, grid) => {
          const prefix = Array.from({ length: prefixTokens * 2 }, (_, i) => 100 + i);
          const patches = Array.from({ length: from * from }, () => [3, -5]).flat();
          const data = embedding([...prefix, ...patches], prefixTokens + from * from);
          const resized = numbers(resizePositionEmbedding(data, { grid, prefixTokens }));
          expect(resized.slice(0, prefix.length)).toEqual(prefix);
          const constant = Array.from({ length: grid * grid }, () => [3, -5]).flat();
          expect(maxDifference(resized.slice(prefix.length), constant)).toBeLessThan(1e-5);
        },
      ),
    );
  });

  test('in half precision is computed in float32', () => {
    const half = scope(() => to(fromData(source), { dtype: 'BF16' }).toData());
    const widened = scope(() => to(fromData(half), { dtype: 'F32' }).toData());
    const sizes = { grid: 10, prefixTokens: 1 };
    expect(resizePositionEmbedding(half, sizes)).toEqual(resizePositionEmbedding(widened, sizes));
  });

  test.each([
    [5, 0],
    [1, 1],
    [0, 1],
    [9, 1],
  ])('%i slots, %i of them before the patches, do not form a square', (slots, prefixTokens) => {
    const data: TensorData = { dtype: 'F32', shape: [1, slots, 2], data: new Uint8Array(slots * 8) };
    expect(() => resizePositionEmbedding(data, { grid: 3, prefixTokens })).toThrow(InputError);
    expect(() => resizePositionEmbedding(data, { grid: 3, prefixTokens })).toThrow(
      `pos_embed is [1, ${slots}, 2]`,
    );
  });
});

describe('fitStem', () => {
  test('at 56 pixels the official weights give the official logits', async () => {
    const config = { ...GOLDEN_VIT, imageSize: 56 };
    const stages = (await goldenStages('ckpt/PT.pth')).map((stage, i) =>
      i === 0 ? { ...stage, weights: fitStem(stage.weights, config, 'PT.pth') } : stage,
    );
    const generator = new Generator();
    const model = assemble(vit(config), [1, 1, 1, 1], stages, { device: 'cpu', dtype: 'F32', generator });
    const count = 2 * IMAGENET_MEAN.length * 56 * 56;
    const images = Float32Array.from({ length: count }, (_, i) => Math.sin(-2 + (4 * i) / (count - 1)));
    const logits = scope(() =>
      noGrad(() => {
        const input = fromArray(images, [2, 3, 56, 56]);
        return Array.from(model.forward(input, { training: false, generator, key: [] }).toFloat32Array());
      }),
    );
    const official = numbers(golden.get('logits_56_sin') as TensorData);
    expect(maxDifference(logits, official)).toBeLessThan(1e-5);
  });

  test('a class token and a distillation token keep their slots', () => {
    const token = embedding([0], 1);
    const weights = new Map([
      ['cls_token', token],
      ['dist_token', token],
      ['pos_embed', embedding([7, 8, 1, 1, 1, 1], 6)],
    ]);
    const fit = fitStem(weights, { imageSize: 12, patchSize: 4 }, 'x');
    const slots = numbers(fit.get('pos_embed') as TensorData);
    expect(slots.slice(0, 2)).toEqual([7, 8]);
    expect(maxDifference(slots.slice(2), Array(9).fill(1))).toBeLessThan(1e-6);
    expect(fit.get('dist_token')).toBe(token);
  });

  test('returns the weights unchanged if they fit', async () => {
    const [{ weights }] = await goldenStages('ckpt/PT.pth');
    expect(fitStem(weights, GOLDEN_VIT, 'PT.pth')).toBe(weights);
    const other = new Map([['conv.weight', source]]);
    expect(fitStem(other, GOLDEN_VIT, 'x')).toBe(other);
  });

  test('names the file of an embedding that does not form a grid', () => {
    const weights = new Map([['pos_embed', embedding([1, 2, 3], 3)]]);
    expect(() => fitStem(weights, GOLDEN_VIT, 'x.pth, stage 0')).toThrow(
      'x.pth, stage 0: pos_embed is [1, 3, 1]',
    );
  });
});

describe('a new head at another image size', () => {
  const DECODER = {
    neck: 'multilevel',
    taps: [0, 0, 0, 0],
    channels: 4,
    auxTap: 3,
    auxChannels: 4,
    dropout: 0,
  } as const;
  const tensor = (shape: number[], value: number): TensorData => {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value);
    return { dtype: 'F32', shape, data: new Uint8Array(values.buffer) };
  };
  /** A classifier for images of 28 px in patches of 14, without its blocks. */
  const given = new Map([
    ['cls_token', tensor([1, 1, 4], 1)],
    ['pos_embed', tensor([1, 5, 4], 2)],
    ['patch_embed.proj.weight', tensor([4, 3, 14, 14], 0.5)],
    ['patch_embed.proj.bias', tensor([4], 0)],
    ['norm.weight', tensor([4], 1)],
    ['norm.bias', tensor([4], 0)],
    ['head.weight', tensor([2, 4], 1)],
    ['head.bias', tensor([2], 0)],
  ]);
  const geometry = { channels: 3, classes: 2, width: 4, depth: 1, heads: 1 };
  const base = { ...geometry, mlpRatio: 1, qkvBias: true, layerNormEps: 1e-6, classToken: true };

  test.each([
    [
      'a decoder',
      { imageSize: 42, patchSize: 14, decoder: DECODER },
      'position embedding of 28 px images, resized for 42 px',
    ],
    [
      'a decoder with other patches',
      { imageSize: 32, patchSize: 16, decoder: DECODER },
      'patch embedding of 14 px patches, resized to 16 px',
    ],
    [
      'both',
      { imageSize: 48, patchSize: 16, decoder: DECODER },
      'position embedding of 28 px images in patches of 14, resized for 48 px; patch embedding of 14 px patches, resized to 16 px',
    ],
    [
      'a norm after the pooling',
      { imageSize: 42, patchSize: 14, fcNorm: true, pool: 'mean' },
      'position embedding of 28 px images, resized for 42 px',
    ],
  ] as const)('%s', (_, changes, note) => {
    const config = { ...base, ...changes };
    const { stages } = newHead(config, [given]);
    const fit = vitFamily.fit(stages, config, 'x.pth');
    expect(fit.note).toBe(note);
    const [stem] = fit.stages;
    const grid = config.imageSize / config.patchSize;
    const positions = stem.get('pos_embed') as TensorData;
    const kernel = stem.get('patch_embed.proj.weight') as TensorData;
    expect(positions.shape).toEqual([1, 1 + grid * grid, 4]);
    expect(maxDifference(numbers(positions), Array((1 + grid * grid) * 4).fill(2))).toBeLessThan(1e-6);
    expect(kernel.shape).toEqual([4, 3, config.patchSize, config.patchSize]);
    expect(maxDifference(numbers(kernel), Array(12 * config.patchSize ** 2).fill(0.5))).toBeLessThan(1e-6);
  });
});
