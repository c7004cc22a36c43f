import type { RecipeInput } from '../../src/recipe/recipe-schema.js';
import { imagesFolder, settings } from './settings.js';

/** A short recipe for the whole method, with the images of the `images` section. */
export function kitRecipe(): RecipeInput {
  const few = settings.isTiny ? 1 : 4;
  return {
    name: 'kit',
    model: {
      image_size: 32,
      patch_size: settings.isTiny ? 8 : 4,
      classes: 10,
      width: settings.isTiny ? 16 : 192,
      depth: settings.isTiny ? 4 : 8,
      heads: settings.isTiny ? 2 : 3,
    },
    incubation: { modules: settings.isTiny ? 2 : 4 },
    data: {
      format: 'folder',
      path: imagesFolder,
      augment: { auto: 'rand-m9-mstd0.5-inc1', erase: 0.25, mixup: 0.8, cutmix: 1 },
    },
    training: {
      batch_size: settings.isTiny ? 16 : 64,
      precision: 'bfloat16',
      ema: 0.9,
      checkpoint_every: settings.isTiny ? 0.2 : 0.5,
      eval_every: 4,
      log_every: 5,
      drop_path: 0.1,
      optimizer: { lr: 1e-3, lr_batch: null },
      schedule: { kind: 'step-cosine', warmup: 0.2 * few },
    },
    phases: { PT: { epochs: few }, MT: { epochs: few }, FT: { epochs: 4 * few }, E2E: { epochs: few } },
    run: {
      // The command line does not support the fake accelerator.
      device: settings.isCuda ? 'auto' : 'cpu',
      samples: 0,
      tensorboard: false,
      ...(settings.isTiny ? { threads: 1 } : {}),
    },
  };
}
