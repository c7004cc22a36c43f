import { expect, test } from 'vitest';
import { phasePlan } from '../src/plan/plan.js';
import { compile, phaseOf } from '../src/recipe/compile.js';
import { readRecipe } from '../src/recipe/recipe.js';

const IMAGES = 1_281_167;

// _ET_pp_main_deitS.py of EfficientTrain++: the sizes of its ten stages, each with a tenth of the cost of `epoch` (200) epochs at
// 224 px, counted in pixels, and RandAugment m0 to m9.
const SIZES = [96, 96, 160, 160, 160, 160, 192, 192, 224, 224];
const EPOCHS = 200;

test('deit-s-curriculum.yaml: the stages of EfficientTrain++, and its settings', () => {
  const recipe = readRecipe('recipes/imagenet/deit-s-curriculum.yaml');
  const plan = phasePlan(phaseOf(recipe, 'E2E'), IMAGES);
  const stages = plan.curriculum ?? [];
  expect(stages.map(({ image_size }) => image_size)).toEqual(SIZES);
  expect(stages.map(({ magnitude }) => magnitude)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(stages.every(({ low_pass }) => !low_pass)).toBe(true);
  for (const { steps, image_size } of stages) {
    const epochs = steps / plan.steps_per_epoch;
    expect(epochs / ((EPOCHS / 10) * (224 / image_size) ** 2)).toBeCloseTo(1, 2);
  }
  expect(plan.parameters).toBe(22_050_664);

  const phases = compile(recipe);
  expect(phases.map(({ name }) => name)).toEqual(['PT', 'MT/0', 'MT/1', 'MT/2', 'MT/3', 'FT', 'E2E']);
  for (const { settings } of phases) {
    expect(settings).toMatchObject({
      clip_grad: 5,
      label_smoothing: 0.1,
      optimizer: { name: 'adamw', lr: 4e-3, lr_batch: null, weight_decay: 0.05 },
    });
    expect(settings.batch_size * settings.accumulate).toBe(4096);
    expect(settings.curriculum).toHaveLength(10);
  }
  const { settings } = phaseOf(recipe, 'E2E');
  expect(settings).toMatchObject({ drop_path: 0.1, schedule: { warmup_lr: 0, min_lr: 1e-6 } });
  // The warm-up covers the first fifth of the cost: the stages at 96 px.
  const first = stages.slice(0, 2).reduce((sum, { steps }) => sum + steps, 0);
  expect((settings.schedule.warmup * plan.steps_per_epoch) / first).toBeCloseTo(1, 2);
  expect(recipe.data.augment).toMatchObject({
    auto: 'rand-m9-mstd0.5-inc1',
    erase: 0.25,
    mixup: 0.8,
    cutmix: 1,
    repeats: 1,
  });
}, 60_000);
