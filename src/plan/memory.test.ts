import { expect, test } from 'vitest';
import { phaseOf } from '../recipe/phases.js';
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
