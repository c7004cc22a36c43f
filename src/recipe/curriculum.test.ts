import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { defineFamily } from '../models/own-family.js';
import { Layer } from '../models/staged.js';
import { Linear } from '../nn/layers.js';
import type { Tensor } from '../torch/tensor.js';
import { phaseOf } from './compile.js';
import { recipeHash } from './lineage.js';
import { defineRecipe } from './recipe.js';
import type { RecipeInput } from './recipe-schema.js';

const vit = { image_size: 48, patch_size: 8, width: 16, depth: 4, heads: 2, classes: 3 };
const resnet = { family: 'resnet', image_size: 32, classes: 3, blocks: [2, 2], widths: [4, 8] };
const auto = 'rand-m9-mstd0.5-inc1';

function recipe(curriculum: unknown, more: object = {}) {
  return defineRecipe({
    name: 'r',
    model: vit,
    incubation: { modules: 2 },
    data: { format: 'folder', augment: { auto } },
    training: { curriculum },
    ...more,
  } as RecipeInput);
}

function refusal(curriculum: unknown, more?: object): string {
  try {
    recipe(curriculum, more);
  } catch (error) {
    if (error instanceof InputError) return `${error.message} | ${error.hint}`;
    throw error;
  }
  return 'accepted';
}

const settingsOf = (curriculum: unknown, more?: object) =>
  phaseOf(recipe(curriculum, more), 'PT').settings.curriculum;

test('a stage has defaults, and a phase its own stages', () => {
  expect(settingsOf([{ until: 0.5, size: 24, low_pass: true, magnitude: 0 }, {}])).toEqual([
    { until: 0.5, size: 24, low_pass: true, magnitude: 0 },
    { until: 1, low_pass: false },
  ]);
  expect(settingsOf(undefined)).toBeNull();
  const own = recipe([{ size: 24 }], {
    phases: { FT: { curriculum: null }, MT: { curriculum: [{ size: 16 }] } },
  });
  expect(phaseOf(own, 'FT').settings.curriculum).toBeNull();
  expect(phaseOf(own, 'MT/1').settings.curriculum).toEqual([{ until: 1, size: 16, low_pass: false }]);
  expect(phaseOf(own, 'PT').settings.curriculum).toEqual([{ until: 1, size: 24, low_pass: false }]);
});

test('runs without a curriculum keep their hash, runs with one have another', () => {
  const hashes = [null, [{ until: 0.5, size: 24 }, {}], [{ until: 0.5, size: 24, low_pass: true }, {}]].map(
    (curriculum) => recipeHash(phaseOf(recipe(curriculum), 'PT')),
  );
  expect(new Set(hashes).size).toBe(3);
  expect(recipeHash(phaseOf(recipe(undefined), 'PT'))).toBe(hashes[0]);
});

describe('refused', () => {
  test.each([
    [
      [{ until: 0.5, size: 24 }, { until: 0.5 }],
      /stage 2 ends at 0.5, but the stage before it at 0.5 .*only the last/,
    ],
    [[{ until: 0.6 }, { until: 0.3 }, {}], /stage 2 ends at 0.3, but the stage before it at 0.6/],
    [[{ size: 24 }, { size: 32 }], /stage 2 ends at 1, but the stage before it at 1/],
    [[{ until: 0.5, size: 24 }], /the last stage ends at 0.5 of the steps .*leave out its until/],
    [
      [{ until: 0.5, size: 64 }, {}],
      /PT: curriculum: stage 1: size 64 is above model.image_size 48 .*lower size/,
    ],
    [
      [{ until: 0.5, size: 20 }, {}],
      /stage 1: size 20: 20 pixels are not a multiple of the patch size 8 .*16 or 24/,
    ],
    [[{ until: 0.5 }, { size: 4 }], /stage 2: size 4: .* choose 8/],
    [[{ until: 0, size: 24 }, {}], /until/],
    [[{ until: 1.5, size: 24 }, {}], /until/],
    [[{ size: 24.5 }], /size/],
    [[{ magnitude: 11 }], /magnitude/],
    [[{ side: 24 }], /unknown key training.curriculum.0.side .*until, size, low_pass, magnitude/],
    [[], /training.curriculum/],
    [{ until: 0.5 }, /training.curriculum/],
  ])('%j', (curriculum, message) => {
    expect(refusal(curriculum)).toMatch(message);
  });

  test.each(['none', { auto: null }, { three_augment: true, auto: null }])(
    'a magnitude without RandAugment: augment %j',
    (augment) => {
      const data = { format: 'folder', augment };
      expect(refusal([{ until: 0.5, magnitude: 0 }, {}], { data })).toMatch(
        /stage 1: magnitude needs RandAugment .*data.augment.auto/,
      );
      expect(refusal([{ until: 0.5, size: 24 }, {}], { data })).toBe('accepted');
    },
  );

  test('a curriculum of one of the modules that see the same images', () => {
    const phases = { modules: { 1: { curriculum: [{ size: 24 }] } } };
    expect(refusal(undefined, { phases, incubation: { modules: 2, together: true } })).toMatch(
      /phases.modules.1.curriculum: modules that are incubated together see the same images .*phases.MT/,
    );
    expect(refusal(undefined, { phases })).toBe('accepted');
  });

  test('a curriculum of a single phase is named', () => {
    const phases = { E2E: { curriculum: [{ until: 0.5, size: 20 }, {}] } };
    expect(refusal(undefined, { phases })).toMatch(/E2E: curriculum: stage 1: size 20/);
  });
});

test('a ResNet takes any size', () => {
  expect(refusal([{ until: 0.5, size: 17 }, {}], { model: resnet })).toBe('accepted');
  expect(refusal([{ until: 0.5, size: 33 }, {}], { model: resnet })).toMatch(/above model.image_size 32/);
});

test('a family of your own takes only its size, but any magnitude', () => {
  class Same extends Layer {
    readonly linear: Linear;
    constructor(linear: Linear) {
      super();
      this.linear = linear;
    }
    forward(x: Tensor): Tensor {
      return x;
    }
  }
  const family = defineFamily({
    name: 'same',
    keys: { depth: 4 },
    blueprint: ({ depth, classes }) => ({
      depth,
      makeStem: (context) => new Same(new Linear(1, 1, context)),
      makeBlock: (_, context) => new Same(new Linear(1, 1, context)),
      makeHead: (context) => new Same(new Linear(1, classes, context)),
      macs: { stem: 1, block: () => 1, head: 1 },
    }),
  });
  const make = (curriculum: object[]) =>
    defineRecipe(
      {
        name: 'r',
        model: { family: 'same', image_size: 48, classes: 2 },
        incubation: { modules: 2 },
        data: { format: 'folder', augment: { auto } },
        training: { curriculum },
      },
      { families: [family] },
    );
  expect(() => make([{ until: 0.5, size: 24 }, {}])).toThrow(
    /size 24: the model takes only images of 48 x 48 pixels/,
  );
  expect(() => make([{ until: 0.5, magnitude: 2 }, {}])).not.toThrow();
});
