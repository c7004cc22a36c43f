import { expect, test } from 'vitest';
import { phasePlan } from '../src/plan/plan.js';
import { compile, phaseOf } from '../src/recipe/compile.js';
import { readRecipe } from '../src/recipe/recipe.js';

const IMAGES = 1_281_167;
const read = (name: string) => readRecipe(`recipes/imagenet/${name}.yaml`);

// The commands of README_revenge.md in DeiT's repository. Parameters: those of timm's deit3_*_patch*_224, created for 192, 192
// and 160 px (with patches of 14 px, 154 of these are used).
test.each([
  ['b', 192, 256, 0.2, 86_545_384],
  ['l', 192, 64, 0.45, 304_321_512],
  ['h', 154, 64, 0.6, 631_953_640],
])(
  'deit3-%s.yaml: DeiT-III at %i px, micro-batches of %i, drop path %d, %i parameters',
  (size, side, batch, dropPath, parameters) => {
    const recipe = read(`deit3-${size}`);
    expect(recipe.model).toMatchObject({ image_size: side, no_embed_class: true, layer_scale: 1e-4 });
    expect(recipe.data.augment).toMatchObject({
      three_augment: true,
      color_jitter: 0.3,
      auto: null,
      erase: 0,
      mixup: 0.8,
      cutmix: 1,
      repeats: 3,
      crop: 'default',
    });
    const phases = compile(recipe);
    expect(phases.map(({ name }) => name)).toEqual(['PT', 'MT/0', 'MT/1', 'MT/2', 'MT/3', 'FT', 'E2E']);
    for (const { name, settings } of phases) {
      expect(settings).toMatchObject({
        loss: 'bce',
        bce_threshold: 0,
        label_smoothing: 0,
        clip_grad: 1,
        batch_size: batch,
        drop_path_schedule: 'constant',
        optimizer: { name: 'lamb', lr: 3e-3, lr_batch: null, weight_decay: 0.05 },
        schedule: { kind: 'epoch-cosine', warmup: name === 'FT' ? 0 : 5, warmup_lr: 1e-6, min_lr: 1e-5 },
      });
      expect(settings.batch_size * settings.accumulate).toBe(2048);
    }
    expect(phases.at(-1)?.settings).toMatchObject({ epochs: 800, drop_path: dropPath });
    expect(phaseOf(recipe, 'FT').settings.drop_path).toBe(dropPath);
    const plans = phases.map((phase) => phasePlan(phase, IMAGES));
    expect(plans.at(-1)?.parameters).toBe(parameters);
  },
  60_000,
);

test.each([
  ['b', 64, 0.2, 86_585_320],
  ['l', 64, 0.45, 304_374_760],
  ['h', 32, 0.55, 632_126_440],
])(
  'deit3-%s-224.yaml: DeiT-III fine-tuned, micro-batches of %i, drop path %d, %i parameters',
  (size, batch, dropPath, parameters) => {
    const recipe = read(`deit3-${size}-224`);
    const [phase, ...others] = compile(recipe);
    expect([phase.name, others]).toEqual(['FT', []]);
    expect(recipe.start.model).toBe(`runs/deit3-${size}/FT`);
    expect(phase.settings).toMatchObject({
      epochs: 20,
      batch_size: batch,
      loss: 'cross-entropy',
      label_smoothing: 0.1,
      clip_grad: null,
      drop_path: dropPath,
      drop_path_schedule: 'constant',
      optimizer: { name: 'adamw', lr: 1e-5, lr_batch: null, weight_decay: 0.1, eps: 1e-8 },
      schedule: { warmup: 5 },
    });
    expect(phase.settings.batch_size * phase.settings.accumulate).toBe(512);
    expect(recipe.data.augment).toMatchObject({
      three_augment: false,
      auto: 'rand-m9-mstd0.5-inc1',
      repeats: 1,
      mixup: 0.8,
      cutmix: 1,
      erase: 0,
    });
    expect(phasePlan(phase, IMAGES).parameters).toBe(parameters);
  },
  60_000,
);
