import { describe, expect, test } from 'vitest';
import { phaseOf } from '../recipe/compile.js';
import { defineRecipe } from '../recipe/recipe.js';
import { phaseMemory } from './memory.js';

function memoryOf(phase: 'PT' | 'MT/1' | 'FT', training: object = {}) {
  const recipe = defineRecipe({
    name: 'vit',
    model: { preset: 'vit-base' },
    incubation: { modules: 4 },
    data: { format: 'folder' },
    training: { batch_size: 8, ...training },
  });
  return phaseMemory(phaseOf(recipe, phase));
}

test('ViT-B: 86.6 million weights, as many gradients, twice as many averages', () => {
  const { weights, gradients, optimizer } = memoryOf('FT');
  expect(weights).toBe(4 * 86_567_656);
  expect(gradients).toBe(weights);
  expect(optimizer).toBe(2 * weights);
  expect(memoryOf('FT', { ema: 0.99 }).optimizer).toBe(3 * weights);
  expect(memoryOf('FT', { optimizer: { name: 'lion' } }).optimizer).toBe(weights);
});

test('a hybrid has gradients only for its module', () => {
  const { weights, gradients } = memoryOf('MT/1');
  expect(gradients / weights).toBeCloseTo(3 / 6, 1);
});

test('activations grow with the batch, checkpointed ones are few, and the peak holds what is in use', () => {
  const small = memoryOf('FT');
  const large = memoryOf('FT', { batch_size: 80 });
  expect(Number(large.activations)).toBeCloseTo(10 * Number(small.activations), 0);
  expect(Number(large.activations_checkpointed)).toBeLessThan(Number(large.activations) / 5);
  const kept = Number(large.peak) - large.weights - large.optimizer;
  expect(kept).toBeGreaterThan(Number(large.activations));
  const { peak } = memoryOf('FT', { batch_size: 80, activation_checkpointing: true });
  expect(Number(peak)).toBeLessThan(Number(large.peak) / 3);
});

describe('segmentation', () => {
  const memory = (classes: number, training: object = {}, decoder: object = {}) => {
    const recipe = defineRecipe({
      name: 'upernet',
      task: 'segmentation',
      model: { preset: 'vit-base', image_size: 512, classes, decoder },
      incubation: 'none',
      data: { format: 'ade20k' },
      training: { batch_size: 4, ...training },
      phases: { E2E: { epochs: 1 } },
    });
    return phaseMemory(phaseOf(recipe, 'E2E'));
  };

  test('the decoder and its loss count, also with activation checkpointing: they are not recomputed', () => {
    const pixels = 512 * 512;
    const more = memory(151);
    const { activations, activations_checkpointed: checkpointed, peak } = memory(150);
    // The logits of both heads at the size of the labels and their log-softmax, and both heads' own logits, packed and unpacked.
    const perClass = 4 * 4 * (4 * pixels + 2 * (128 ** 2 + 16 ** 2));
    expect(Number(more.activations) - Number(activations)).toBeCloseTo(perClass, 0);
    expect(Number(more.activations_checkpointed) - Number(checkpointed)).toBeCloseTo(perClass, 0);
    expect(Number(checkpointed)).toBeGreaterThan(150 * perClass);
    expect(Number(peak)).toBeGreaterThan(Number(activations));
    expect(Number(memory(150, { batch_size: 8 }).activations)).toBeCloseTo(2 * Number(activations), 0);
  });

  test('a larger decoder keeps more', () => {
    const channels = (count: number, neck: string) =>
      Number(memory(150, {}, { neck, channels: count, dropout: 0 }).activations);
    // Per channel: five tensors of each of the three finer maps, the pyramid pooling, and the concatenated pyramid with its bottleneck.
    const perChannel = 5 * (128 ** 2 + 64 ** 2 + 32 ** 2) + 2 * 50 + 6 * 16 ** 2 + 6 * 128 ** 2;
    for (const neck of ['multilevel', 'deconv'])
      expect((channels(65, neck) - channels(64, neck)) / 16).toBeCloseTo(perChannel, 0);
  });
});

describe('detection', () => {
  const memory = (classes: number, training: object = {}, decoder: object = {}) => {
    const recipe = defineRecipe({
      name: 'mask-rcnn',
      task: 'detection',
      model: { preset: 'vit-base', image_size: 512, classes, decoder },
      incubation: 'none',
      data: { format: 'coco' },
      training: { batch_size: 2, ...training },
      phases: { E2E: { epochs: 1 } },
    });
    return phaseMemory(phaseOf(recipe, 'E2E'));
  };

  test('the detector and its losses count, also with activation checkpointing', () => {
    const { activations, activations_checkpointed: checkpointed, peak } = memory(80);
    // 512 regions have logits and their log-softmax, and four offsets; 128 have logits of masks.
    const perClass = 4 * 2 * (512 * (2 + 4) + 128 * 28 ** 2);
    expect(Number(memory(81).activations) - Number(activations)).toBeCloseTo(perClass, 0);
    expect(Number(checkpointed)).toBeGreaterThan(80 * perClass);
    expect(Number(peak)).toBeGreaterThan(Number(activations));
    expect(Number(memory(80, { batch_size: 4 }).activations)).toBeCloseTo(2 * Number(activations), 0);
  });

  test('a detector of more channels keeps more', () => {
    const channels = (count: number) => Number(memory(80, {}, { channels: count }).activations);
    const pyramid = 128 ** 2 + 64 ** 2 + 32 ** 2 + 16 ** 2;
    // Sums of the pyramid, its outputs and those of the proposal network; regions, and the mask head's five layers.
    const perChannel =
      pyramid + 2 * (pyramid + 8 ** 2) + 512 * 7 ** 2 + 128 * (14 ** 2 + 4 * 14 ** 2 + 28 ** 2);
    expect((channels(65) - channels(64)) / 8).toBeCloseTo(perChannel, 0);
  });
});
