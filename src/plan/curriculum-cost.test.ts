import { describe, expect, test } from 'vitest';
import { vit } from '../models/vit/vit.js';
import { compile, phaseOf } from '../recipe/compile.js';
import { defineRecipe } from '../recipe/recipe.js';
import type { RecipeInput } from '../recipe/recipe-schema.js';
import { costUntil, forwardMacs, imageCost, stagesOf } from './cost.js';
import { phaseMemory } from './memory.js';
import { phasePlan, planPhases } from './plan.js';

const geometry = { width: 16, depth: 4, heads: 2, classes: 3, channels: 3 };
const model = { ...geometry, image_size: 48, patch_size: 8 };
const thirds = [{ until: 0.25, size: 24, low_pass: true }, { until: 0.5, size: 32 }, {}];

function recipe(curriculum: object[] | null, more: object = {}) {
  return defineRecipe({
    name: 'r',
    model,
    incubation: { modules: 2 },
    data: { format: 'folder', augment: 'none' },
    training: { batch_size: 5, total_batch: 10, curriculum },
    phases: { PT: { epochs: 4 }, MT: { epochs: 3 }, FT: { epochs: 2 }, E2E: {} },
    ...more,
  } as RecipeInput);
}

describe('a vision transformer', () => {
  const phase = phaseOf(recipe(thirds), 'PT');

  test('the tokens of each stage are counted, and its multiply-accumulates are those of a model for that size', () => {
    const stages = stagesOf(phase, 40);
    expect(stages.map(({ steps, image_size }) => [steps, image_size])).toEqual([
      [10, 24],
      [10, 32],
      [20, 48],
    ]);
    for (const { steps, image_size, tokens, images, block_passes, macs } of stages) {
      const own = (image_size / 8) ** 2 + 1;
      expect(images).toBe(10 * steps);
      expect(tokens).toBe(images * own);
      expect(block_passes).toBeCloseTo((images * 6 * own) / 37, 8);
      const small = vit({
        ...geometry,
        imageSize: image_size,
        patchSize: 8,
        mlpRatio: 4,
        qkvBias: true,
        layerNormEps: 1e-6,
        classToken: true,
      });
      expect(macs).toBe(images * imageCost(small, [1, 1], ['trained', 'trained']).macs);
      // Three passes, except that the stem passes no gradients on.
      expect(macs / images).toBeLessThan(3 * forwardMacs(small, [1, 1]));
    }
  });

  test('a plan is the sum of its stages, and grows with them', () => {
    const plan = phasePlan(phase, 100);
    expect(plan.steps).toBe(40);
    expect(plan.tokens).toBe(10 * (10 * 10 + 10 * 17 + 20 * 37));
    const whole = costUntil(plan, 40);
    expect(whole.block_passes).toBeCloseTo(plan.block_passes, 8);
    expect(costUntil(plan, 15).block_passes).toBeCloseTo((6 * (100 * 10 + 50 * 17)) / 37, 8);
    expect(costUntil(plan, 15).images).toBeCloseTo(150, 8);
    const plain = phasePlan(phaseOf(recipe(null), 'PT'), 100);
    expect(plain.curriculum).toBeUndefined();
    expect(plain.block_passes).toBe(400 * 6);
    expect(plain.tokens).toBe(400 * 37);
  });

  test('activations are those of the largest size', () => {
    const of = (curriculum: object[] | null) => phaseMemory(phaseOf(recipe(curriculum), 'FT')).activations;
    expect(of(thirds)).toBe(of(null));
    const small = { ...model, image_size: 32 };
    expect(of([{ until: 0.5, size: 24 }, { size: 32 }])).toBe(
      phaseMemory(phaseOf(recipe(null, { model: small }), 'FT')).activations,
    );
  });

  test('ratios count smaller images as their share', () => {
    const all = planPhases(compile(recipe(thirds)), 100);
    const passes = (name: string) => all.phases.find((plan) => plan.phase === name)?.block_passes ?? 0;
    expect(all.ratios?.frozen).toBeCloseTo(all.incubation.block_passes / passes('E2E'), 10);
  });
});

test('a ResNet counts pixels', () => {
  const resnet = {
    family: 'resnet',
    image_size: 32,
    channels: 3,
    classes: 3,
    blocks: [2, 2],
    widths: [4, 8],
  };
  const phase = phaseOf(recipe([{ until: 0.5, size: 20 }, {}], { model: resnet }), 'FT');
  const [small, full] = stagesOf(phase, 10);
  expect(small.tokens).toBe(50 * 400);
  expect(small.block_passes / full.block_passes).toBeCloseTo(400 / 1024, 10);
  expect(small.macs).toBeLessThan(0.4 * full.macs);
});

describe('a baseline of equal cost has the smallest number of steps that costs as much', () => {
  test.each([
    [null],
    [thirds],
    [[{ until: 0.95, size: 8 }, {}]],
    [[{ until: 0.1 }, { until: 0.7, size: 8 }, { size: 48 }]],
    [[{ until: 0.33, size: 8 }, { until: 0.34 }, { until: 0.99, size: 16 }, {}]],
    [[{ size: 16 }]],
  ])('%j', (curriculum) => {
    for (const images of [10, 37, 100]) {
      const all = planPhases(
        compile(recipe(null, { phases: { PT: { epochs: 4 }, E2E: { curriculum } } })),
        images,
      );
      const phase = phaseOf(recipe(null, { phases: { PT: { epochs: 4 }, E2E: { curriculum } } }), 'E2E');
      const { steps, block_passes } = all.phases[all.phases.length - 1];
      const costOf = (count: number) =>
        stagesOf(phase, count).reduce((sum, stage) => sum + stage.block_passes, 0);
      const budget = all.incubation.block_passes;
      expect(block_passes).toBeGreaterThanOrEqual(budget);
      for (let fewer = 1; fewer < steps; fewer++) expect(costOf(fewer)).toBeLessThan(budget);
    }
  });
});
