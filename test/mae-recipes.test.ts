import { expect, test } from 'vitest';
import { scheduleOf } from '../src/phase/phase-optimizer.js';
import { phasePlan } from '../src/plan/plan.js';
import { compile, phaseOf } from '../src/recipe/compile.js';
import { readRecipe } from '../src/recipe/recipe.js';

// MAE, arXiv 2111.06377, table 11; the schedule is that of its code (util/lr_sched.py), by epochs.
const [RATE, WARMUP, LEAST] = [(1e-4 * 4096) / 256, 20, 1e-6];
const officialRate = (epoch: number, epochs: number) =>
  epoch < WARMUP
    ? (RATE * epoch) / WARMUP
    : LEAST + (RATE - LEAST) * 0.5 * (1 + Math.cos((Math.PI * (epoch - WARMUP)) / (epochs - WARMUP)));

test.each([
  ['b', 300, 0.1, 86_567_656],
  ['l', 200, 0.2, 304_326_632],
  ['h', 200, 0.2, 632_045_800],
])(
  'vit-%s-mae.yaml: %i epochs, drop path %d, %i parameters, and the rest of table 11',
  (size, epochs, dropPath, parameters) => {
    const recipe = readRecipe(`recipes/imagenet/vit-${size}-mae.yaml`);
    const [phase, ...others] = compile(recipe);
    const { name, settings } = phase;
    expect([name, others]).toEqual(['E2E', []]);
    expect(settings).toMatchObject({
      epochs,
      drop_path: dropPath,
      ema: 0.9999,
      label_smoothing: 0.1,
      clip_grad: null,
      optimizer: { name: 'adamw', weight_decay: 0.3, betas: [0.9, 0.95] },
    });
    expect(settings.batch_size * settings.accumulate).toBe(4096);
    expect(recipe.data.augment).toMatchObject({
      auto: 'rand-m9-mstd0.5-inc1',
      mixup: 0.8,
      cutmix: 1,
      erase: 0,
      repeats: 1,
    });
    const plan = phasePlan(phaseOf(recipe, 'E2E'), 1_281_167);
    expect(plan.parameters).toBe(parameters);

    const schedule = scheduleOf(phase, plan);
    const stepsPerEpoch = plan.steps_per_epoch;
    for (let epoch = 1; epoch < epochs; epoch++) {
      // Ours reaches the peak in the last step of the warm-up, theirs one step later.
      const official = [-1, 1].map((step) => officialRate(epoch + step / stepsPerEpoch, epochs));
      const ours = schedule(epoch * stepsPerEpoch);
      const rounding = 1e-12 * RATE;
      expect(ours).toBeGreaterThanOrEqual(Math.min(...official) - rounding);
      expect(ours).toBeLessThanOrEqual(Math.max(...official, epoch === WARMUP ? RATE : 0) + rounding);
    }
  },
);
