/** The settings of the study, two ways to use Fashion-MNIST at laptop size, and the strategies that it compares. */

export type Strategy =
  | 'meta'
  | 'meta-equal-cost'
  | 'end-to-end'
  | 'zero-init'
  | 'layer-scale'
  | 'fresh'
  | 'grown'
  | 'growth';

/** Peak learning rates of the phases that a strategy trains. PT has the rate of its setting. */
export interface Rates {
  readonly MT?: number;
  readonly FT?: number;
  readonly E2E?: number;
}

interface Setting {
  readonly about: string;
  /** Recipe of a model of `depth` blocks, with all phases. */
  recipe(depth: number): object;
}

const model = (depth: number) => ({
  image_size: 28,
  patch_size: 7,
  channels: 1,
  classes: 10,
  width: 64,
  depth,
  heads: 2,
});

const pixels = { format: 'fashion-mnist', mean: [0.286], std: [0.353] };

/** A cell is evaluated at its start and its end only, so no test image chooses a checkpoint. */
const atTheEnd = { eval_every: 10_000, checkpoint_every: 120, batch_size: 64 };

/** One process with one thread per cell, so that results do not depend on the load of the machine. */
const run = { device: 'cpu', parallel: 1, threads: 1, workers: 1, samples: 0, tensorboard: false };

export const SETTINGS: Readonly<Record<'few-passes' | 'small-data', Setting>> = {
  'few-passes': {
    about: 'all 60,000 images, no augmentation, at most three passes (as in the demo with fresh modules)',
    recipe: (depth) => ({
      name: `few-passes-${depth}`,
      model: model(depth),
      incubation: { modules: 4 },
      data: { ...pixels, augment: 'none' },
      training: {
        ...atTheEnd,
        drop_path: 0,
        clip_grad: null,
        optimizer: { lr_batch: null },
        schedule: { kind: 'step-cosine', warmup: 0.05 },
      },
      phases: {
        PT: { epochs: 3, optimizer: { lr: 0.002 } },
        MT: { epochs: (0.18 * 128) / depth, optimizer: { lr: 0.002 } },
        FT: { epochs: (0.22 * 128) / depth, optimizer: { lr: 0.0005 } },
        E2E: { optimizer: { lr: 0.0005 } },
      },
      run,
    }),
  },
  'small-data': {
    about: '5 % of the images (3,000), random crop and flip, drop path 0.1, many passes',
    recipe: (depth) => ({
      name: `small-data-${depth}`,
      model: model(depth),
      incubation: { modules: 4 },
      data: { ...pixels, fraction: 0.05, augment: { crop_padding: 2, flip: 0.5 } },
      training: {
        ...atTheEnd,
        drop_path: 0.1,
        clip_grad: 1,
        optimizer: { lr_batch: null },
        schedule: { kind: 'step-cosine', warmup: 3 },
      },
      phases: {
        PT: { epochs: 60, drop_path: 0, optimizer: { lr: 0.001 } },
        MT: { epochs: 960 / depth, optimizer: { lr: 0.001 } },
        FT: { epochs: 960 / depth, optimizer: { lr: 0.0005 }, schedule: { warmup: 1 } },
        E2E: { optimizer: { lr: 0.0005 } },
      },
      run,
    }),
  },
};

export type SettingName = keyof typeof SETTINGS;

export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];

/** The grid of rates that is searched for every strategy, on held-out training images. */
export const GRID: Readonly<Record<Strategy, readonly Rates[]>> = {
  meta: [{}],
  'meta-equal-cost': [{}],
  'end-to-end': [{ E2E: 0.00025 }, { E2E: 0.0005 }, { E2E: 0.001 }],
  'zero-init': [{ E2E: 0.00025 }, { E2E: 0.0005 }, { E2E: 0.001 }],
  'layer-scale': [{ E2E: 0.00025 }, { E2E: 0.0005 }, { E2E: 0.001 }],
  fresh: [
    { MT: 0.001, FT: 0.0005 },
    { MT: 0.002, FT: 0.0005 },
    { MT: 0.001, FT: 0.001 },
  ],
  grown: [
    { MT: 0.001, FT: 0.0005 },
    { MT: 0.002, FT: 0.0005 },
    { MT: 0.001, FT: 0.001 },
  ],
  growth: [{ FT: 0.00025 }, { FT: 0.0005 }, { FT: 0.001 }],
};

/** The keys by which a strategy differs from its setting's recipe. */
export const STRATEGY_KEYS: Readonly<Record<Strategy, readonly string[]>> = {
  meta: [],
  'meta-equal-cost': [],
  'end-to-end': [],
  'zero-init': ['model.zero_init=true'],
  'layer-scale': ['model.layer_scale=0.0001'],
  fresh: ['incubation.init=fresh'],
  grown: ['incubation.init=grown'],
  growth: ['incubation.strategy=growth'],
};

export const STRATEGIES = Object.keys(STRATEGY_KEYS) as readonly Strategy[];
