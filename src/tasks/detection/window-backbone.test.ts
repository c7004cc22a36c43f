import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { maxDifference, numbers } from '../../../test/support.js';
import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { VitPyramid } from '../../models/detection/tap-pyramid.js';
import type { Module } from '../../nn/module.js';
import { loadWeights } from '../../nn/weights.js';
import { backward } from '../../torch/autograd.js';
import { add, mean, mul, zeros } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { scope } from '../../torch/scope.js';
import { fromData, type Tensor } from '../../torch/tensor.js';
import { readSafetensors } from '../../weights/safetensors/safetensors.js';
import { VitBackbone } from './window-backbone.js';

// What test/fixtures/make-vit-backbone.py has composed from torch.
const path = fileURLToPath(new URL('../../../test/fixtures/vit-backbone.safetensors', import.meta.url));
const { tensors } = readSafetensors(path);
const dataOf = (name: string) => tensors.get(name) as TensorData;

const config = { patchSize: 4, channels: 3, width: 32, depth: 8, heads: 4, mlpRatio: 1, grid: 5, window: 4 };
const generator = new Generator();
const context = () => ({ device: 'cpu', dtype: 'F32', generator: generator.seed([0, 'init']) }) as const;
const pass = { training: false, generator, key: ['pass'] };

function load<T extends Module>(module: T, prefix: string): T {
  const own = [...tensors].filter(([name]) => name.startsWith(`weight.${prefix}`));
  const named = own.map(([name, data]): [string, TensorData] => [
    name.slice(`weight.${prefix}`.length),
    data,
  ]);
  loadWeights(module, new Map(named), path);
  return module;
}

/** As large as the largest of the expected values. */
function relative(tensor: Tensor | null, name: string): number {
  const [values, expected] = [numbers((tensor as Tensor).toData()), numbers(dataOf(name))];
  return maxDifference(values.slice(0, expected.length), expected) / Math.max(...expected.map(Math.abs));
}

describe('windows, padded at the right and below, and four global blocks', () => {
  test('maps and gradients are those of the independent composition', () => {
    scope(() => {
      const backbone = load(new VitBackbone(config, context()), 'backbone.');
      const pyramid = load(new VitPyramid(32, context()), 'pyramid.');
      const image = fromData(dataOf('image'));
      image.requiresGrad = true;
      const maps = pyramid.forward(backbone.forward(image, pass));
      expect(maps.map(({ shape }) => shape)).toEqual([
        [2, 32, 24, 40],
        [2, 32, 12, 20],
        [2, 32, 6, 10],
        [2, 32, 3, 5],
      ]);
      for (const [i, map] of maps.entries()) expect(relative(map, `map.${i}`)).toBeLessThan(1e-5);
      backward(maps.map((map) => mean(mul(map, map))).reduce(add));
      expect(relative(image.grad, 'image-gradient')).toBeLessThan(1e-4);
      expect(relative(backbone.pos_embed.grad, 'gradient.backbone.pos_embed')).toBeLessThan(1e-4);
      const parameters = new Map<string, Tensor>([
        ...Array.from(backbone.namedParameters(), ([name, each]) => [`backbone.${name}`, each] as const),
        ...Array.from(pyramid.namedParameters(), ([name, each]) => [`pyramid.${name}`, each] as const),
      ]);
      for (const name of [
        'backbone.blocks.0.attn.qkv.weight',
        'backbone.blocks.2.ls1.gamma',
        'pyramid.up4.0.weight',
      ]) {
        expect(relative(parameters.get(name)?.grad ?? null, `gradient.${name}`), name).toBeLessThan(1e-4);
      }
      for (const [name, each] of parameters) expect(each.grad, name).not.toBeNull();
    });
  });

  test('drop path depends only on the key', () => {
    const backbone = load(new VitBackbone({ ...config, dropPath: 0.5 }, context()), 'backbone.');
    const run = (training: boolean, key: string) =>
      scope(() => {
        const [, , , last] = backbone.forward(fromData(dataOf('image')), { training, generator, key: [key] });
        return numbers(last.toData());
      });
    expect(run(true, 'a')).toEqual(run(true, 'a'));
    expect(run(true, 'a')).not.toEqual(run(true, 'b'));
    expect(run(false, 'a')).toEqual(run(false, 'b'));
  });
});

test.each([
  [
    () => new VitBackbone({ ...config, depth: 6 }, context()),
    'a backbone of depth 6 cannot be cut into four quarters',
  ],
  [() => new VitPyramid(40, context()), 'width 40 is not a multiple of 32'],
  [
    () => new VitBackbone(config, context()).forward(zeros([1, 3, 16, 18]), pass),
    'images of 18 x 16 cannot be cut into patches of 4 pixels',
  ],
])('%s is refused', (work, message) => {
  expect(work).toThrow(InputError);
  expect(work).toThrow(message);
});
