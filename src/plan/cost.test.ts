import { describe, expect, test } from 'vitest';
import { elementCount } from '../base/tensor-data.js';
import { divide } from '../method/divide.js';
import { hybridDepths, hybridRegimes } from '../method/hybrid.js';
import { metaDepths } from '../method/meta-model.js';
import { buildStage, type Regime } from '../models/staged.js';
import { VIT_PRESETS } from '../models/vit/section.js';
import { type VitConfig, vit } from '../models/vit/vit.js';
import { Generator } from '../torch/random.js';
import { imageCost, parameterCount, trainedParameterCount } from './cost.js';

const K = 4;
const all = Array.from({ length: K }, (): Regime => 'trained');

function config(preset: 'vit-base' | 'vit-large' | 'vit-huge'): VitConfig {
  const { width, depth, heads, patch_size, qkv_bias, layer_norm_eps } = VIT_PRESETS[preset];
  return {
    imageSize: 224,
    patchSize: patch_size,
    channels: 3,
    classes: 1000,
    width,
    depth,
    heads,
    mlpRatio: 4,
    qkvBias: qkv_bias,
    layerNormEps: layer_norm_eps,
    classToken: true,
  };
}

// Frozen blocks without weight gradients, with the epochs of the paper: PT 300, MT 100, FT 100, E2E 300.
test.each([
  ['vit-base', '1.167'],
  ['vit-large', '0.917'],
  ['vit-huge', '0.854'],
] as const)('%s costs %s of training end to end, in block-passes', (preset, ratio) => {
  const blueprint = vit(config(preset));
  const target = divide(blueprint.depth, { modules: K });
  const meta = metaDepths(K);
  const passes = (depths: readonly number[], regimes: readonly Regime[]) =>
    imageCost(blueprint, depths, regimes).blockPasses;
  const L = blueprint.depth;
  expect(passes(target, all)).toBe(3 * L);
  expect(passes(meta, all)).toBe(12);
  const incubation = target
    .map((_, i) => passes(hybridDepths(target, meta, i), hybridRegimes(K, i)))
    .reduce((a, b) => a + b);
  expect(incubation).toBe(3 * L + 18);
  expect(((300 * 12 + 100 * incubation + 100 * 3 * L) / (300 * 3 * L)).toFixed(3)).toBe(ratio);
});

describe('of a tiny model', () => {
  const blueprint = vit({ ...config('vit-base'), imageSize: 32, width: 24, heads: 2, depth: 8, classes: 5 });
  const { stem, head } = blueprint.cost;
  const block = blueprint.cost.block({ from: 0, to: 1 });

  test('multiply-accumulates follow the regimes', () => {
    expect(imageCost(blueprint, [1, 2], ['trained', 'trained']).macs).toBe(
      2 * stem.macs + 9 * block.macs + 3 * head.macs,
    );
    expect(imageCost(blueprint, [1, 2], ['prefix', 'trained']).macs).toBe(
      stem.macs + 7 * block.macs + 3 * head.macs,
    );
    expect(imageCost(blueprint, [2, 1], ['trained', 'suffix']).macs).toBe(
      2 * stem.macs + 8 * block.macs + 2 * head.macs,
    );
  });

  test('parameters are those of the modules', () => {
    const context = { device: 'cpu', dtype: 'F32', generator: new Generator() } as const;
    const depths = [2, 3, 1];
    const sizes = depths.map((_, i) =>
      buildStage(blueprint, { depths }, i, context)
        .parameters()
        .reduce((sum, { shape }) => sum + elementCount(shape), 0),
    );
    expect(parameterCount(blueprint, depths)).toBe(sizes[0] + sizes[1] + sizes[2]);
    for (const [i, size] of sizes.entries()) {
      expect(trainedParameterCount(blueprint, depths, hybridRegimes(3, i))).toBe(size);
    }
  });
});
