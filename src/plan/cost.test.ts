import { describe, expect, test } from 'vitest';
import { elementCount } from '../base/tensor-data.js';
import { planRun } from '../launch/prepare.js';
import { divide, metaDepths } from '../method/divide.js';
import { hybridDepths, hybridRegimes } from '../method/hybrid.js';
import { buildStage, type Regime } from '../models/staged.js';
import type { VitConfig } from '../models/vit/config.js';
import { VIT_PRESETS } from '../models/vit/section.js';
import { vit } from '../models/vit/vit.js';
import { compile } from '../recipe/compile.js';
import { defineRecipe } from '../recipe/recipe.js';
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

describe('for a tiny model', () => {
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

/** Ratios of cost to 300 epochs of end-to-end training. */
test.each([
  ['vit-base', 1.222, 1.167, 1.139, 0.806],
  ['vit-large', 0.944, 0.917, 0.903, 0.736],
  ['vit-huge', 0.875, 0.854, 0.844, 0.719],
] as const)('%s', (preset, official, frozen, shared, given) => {
  const recipe = defineRecipe({
    name: preset,
    model: { preset },
    incubation: { modules: 4 },
    data: { format: 'folder' },
    phases: { E2E: { epochs: 300 } },
  });
  const { ratios } = planRun(recipe, 1_281_167);
  expect(ratios?.official).toBeCloseTo(official, 3);
  expect(ratios?.frozen).toBeCloseTo(frozen, 3);
  expect(ratios?.prefix_shared).toBeCloseTo(shared, 3);
  expect(ratios?.meta_given).toBeCloseTo(given, 3);
});

/** The same section: 3L + 18 block-passes of an image through all modules, 3L + 15 with the prefix shared. */
test('the saving of modules that are incubated together', () => {
  const recipe = defineRecipe({
    name: 'together',
    model: { preset: 'vit-base' },
    incubation: { modules: 4, together: true },
    data: { format: 'folder' },
  });
  const { together, phases } = planRun(recipe, 10_000);
  const modules = phases.filter(({ phase }) => phase.startsWith('MT/'));
  expect(together?.saved_block_passes).toBe(3 * modules[0].images);
  const held = modules.reduce((sum, { model_bytes }) => sum + model_bytes, 0);
  const peaks = modules.map(({ memory }) => memory.peak ?? 0);
  expect(together?.memory_bytes).toBeGreaterThan(held);
  expect(together?.memory_bytes).toBeLessThan(peaks.reduce((a, b) => a + b));
  const apart = defineRecipe({ ...recipe, incubation: { modules: 4 } });
  expect(planRun(apart, 10_000).together).toBeNull();
});

/** The same section: multiply-accumulates of one image, in 1e9. */
test.each([
  ['vit-base', 224, 17.56],
  ['vit-base', 384, 55.48],
  ['vit-large', 224, 61.55],
  ['vit-large', 384, 191.07],
  ['vit-huge', 224, 167.3],
  ['vit-huge', 392, 544.95],
] as const)('%s at %i px', (preset, image_size, expected) => {
  const recipe = defineRecipe({
    name: preset,
    model: { preset, image_size },
    incubation: { modules: 4 },
    data: { format: 'folder' },
  });
  const { forward_macs } = planRun(recipe, 10_000).phases[5];
  expect(forward_macs / 1e9).toBeCloseTo(expected, 2);
});

test('without a baseline, or a module, there is no ratio', () => {
  const base = {
    name: 'x',
    model: { preset: 'vit-base' },
    incubation: { modules: 4 },
    data: { format: 'folder' },
  } as const;
  expect(planRun(defineRecipe(base), 10_000).ratios).toBeNull();
  const tuned = defineRecipe({ ...base, start: { model: 'x.pth' }, phases: { E2E: { epochs: 1 } } });
  expect(compile(tuned).map(({ name }) => name)).toEqual(['FT', 'E2E']);
  expect(planRun(tuned, 10_000).ratios).toBeNull();
});
