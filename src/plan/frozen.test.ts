import { expect, test } from 'vitest';
import { failure } from '../../test/fixtures/data-fixture.js';
import { elementCount } from '../base/tensor-data.js';
import { phaseModel } from '../phase/phase-model.js';
import { freeze } from '../phase/phase-optimizer.js';
import { phaseOf } from '../recipe/compile.js';
import type { PhaseName } from '../recipe/phase.js';
import { defineRecipe } from '../recipe/recipe.js';
import { blueprintOf } from '../recipe/recipe-model.js';
import type { RecipeInput } from '../recipe/recipe-schema.js';
import { zeros } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { partsOf } from './parts.js';
import { phasePlan } from './plan.js';

// What a plan counts of a phase that freezes parameters, against the model that the phase builds.

const PATCHES = ['patch_embed.*', 'cls_token', 'pos_embed'];
const ALL_BUT_HEAD = [...PATCHES, 'blocks.*', 'norm.*'];

/** Freezes in one phase: in another, the same patterns may leave nothing to train. */
function recipeOf(
  patterns: readonly string[],
  model: object = {},
  training: object = {},
  name: PhaseName = 'FT',
) {
  const freeze = [...patterns];
  const phases = name.startsWith('MT/')
    ? { modules: { [name.slice(3)]: { freeze } } }
    : { [name]: { freeze } };
  return defineRecipe({
    name: 'tiny',
    model: { image_size: 16, patch_size: 8, classes: 5, width: 16, depth: 6, heads: 2, ...model },
    incubation: { depths: [2, 3, 1] },
    data: { format: 'folder' },
    training: { batch_size: 4, epochs: 1, ...training },
    phases,
  } as RecipeInput);
}

function built(recipe: ReturnType<typeof recipeOf>, name: PhaseName) {
  const phase = phaseOf(recipe, name);
  const model = phaseModel(
    phase,
    phase.depths.map(() => null),
    'cpu',
  );
  freeze(phase, model);
  return model;
}

const CASES: [PhaseName, string[], object?][] = [
  ['FT', []],
  ['FT', PATCHES],
  ['FT', ALL_BUT_HEAD],
  ['FT', ['stages.0.*']],
  ['FT', ['stages.0.*', 'stages.1.blocks.0.*']],
  ['FT', ['blocks.*.attn.*']],
  ['FT', ['*.weight', 'pos_embed', 'cls_token']],
  ['FT', ['head.*'], { qkv_bias: false, class_token: false, pool: 'mean' }],
  ['FT', ['fc_norm.*', 'pos_embed'], { pool: 'mean' }],
  ['FT', ['dist_token', 'head_dist.*'], { distilled: true }],
  ['PT', ['patch_embed.*']],
  ['MT/1', ['blocks.0.*']],
  ['MT/2', ['stages.2.blocks.0.mlp.fc1.*']],
];

test.each(CASES)('%s, %j: the plan trains what the model trains', (name, patterns, model) => {
  const recipe = recipeOf(patterns, model, {}, name);
  const real = built(recipe, name);
  const sizes = real.trainedParameters().map(([, { shape }]) => elementCount(shape));
  const trained = sizes.reduce((a, b) => a + b, 0);
  const plan = phasePlan(phaseOf(recipe, name), 100);
  expect(plan.trained_parameters).toBe(trained);
  expect(plan.memory.gradients).toBe(4 * trained);
  const tensors = [...real.namedParameters()].map(([, { shape }]) => elementCount(shape));
  expect(plan.parameters).toBe(tensors.reduce((a, b) => a + b, 0));
});

test.each(CASES)('%s, %j: gradients pass as in autograd', (name, patterns, model) => {
  const recipe = recipeOf(patterns, model, {}, name);
  const phase = phaseOf(recipe, name);
  const real = built(recipe, name);
  const parts = partsOf(blueprintOf(recipe), { ...phase, freeze: patterns });
  const ends = phase.depths.map((_, stage) =>
    scope(() => {
      const pass = { training: true, generator: new Generator(), key: [0] };
      return real.forwardStages(zeros([2, 3, 16, 16]), 0, stage + 1, pass).requiresGrad;
    }),
  );
  let end = 0;
  const counted = phase.depths.map((depth, stage) => {
    end += depth + (stage === 0 ? 1 : 0) + (stage === phase.depths.length - 1 ? 1 : 0);
    return parts[end - 1].passesBack;
  });
  expect(counted).toEqual(ends);
});

test.each([
  ['adamw', 2],
  ['lion', 1],
  ['sgd', 1],
] as const)('%s keeps its %d averages, only for trained parameters', (name, states) => {
  const recipe = recipeOf(ALL_BUT_HEAD, {}, { optimizer: { name } });
  const plan = phasePlan(phaseOf(recipe, 'FT'), 100);
  expect(plan.memory.optimizer).toBe(4 * states * (16 + 1) * 5);
});

const ATTENTION = 16 * 48 + 16 * 16;
const MLP = 2 * 16 * 64;

test.each([
  { patterns: [], matrices: 6 * (ATTENTION + MLP) },
  { patterns: ['stages.0.*', 'stages.1.*'], matrices: ATTENTION + MLP },
  { patterns: ['blocks.*.attn.*'], matrices: 6 * MLP },
])(
  'muon: with $patterns frozen, one momentum for each matrix of a block, two averages for the rest',
  ({ patterns, matrices }) => {
    const recipe = recipeOf(patterns, {}, { optimizer: { name: 'muon' }, ema: 0.9 });
    const plan = phasePlan(phaseOf(recipe, 'FT'), 100);
    expect(plan.memory.optimizer).toBe(4 * (3 * plan.trained_parameters - matrices));
    expect(plan.checkpoint_bytes).toBe(4 * plan.parameters + plan.memory.optimizer);
  },
);

test.each([
  ['FT', ['blocks.*.weight']],
  ['FT', ALL_BUT_HEAD],
  ['MT/1', ['blocks.*.weight']],
] as const)('muon: %s is refused if it freezes %j', (name, patterns) => {
  const recipe = recipeOf(patterns, {}, { optimizer: { name: 'muon' } }, name);
  const message = `${name}: no two-dimensional weight of a block is trained, and muon is for these`;
  expect(failure(() => phasePlan(phaseOf(recipe, name), 100)).message).toBe(message);
});

test('block-passes: a frozen prefix only runs forward; a frozen block after a trained one passes gradients', () => {
  const passes = (patterns: string[], name: PhaseName = 'FT') => {
    const { block_passes, images } = phasePlan(phaseOf(recipeOf(patterns, {}, {}, name), name), 100);
    return block_passes / images;
  };
  expect(passes([])).toBe(3 * 6);
  expect(passes(ALL_BUT_HEAD)).toBe(6);
  // The stem trains: every block passes gradients on.
  expect(passes(['blocks.*'])).toBe(2 * 6);
  expect(passes(['stages.0.*'])).toBe(2 + 3 * 4);
  expect(passes(['stages.0.*', 'stages.1.blocks.0.*'])).toBe(3 + 3 * 3);
  expect(passes(['stages.1.*'])).toBe(3 * 2 + 2 * 3 + 3);
  // Of a block's products with weights, attention's are a third: 4 D^2 of 12 D^2.
  expect(passes(['blocks.*.attn.*'])).toBeCloseTo(6 * (2 + 2 / 3), 10);
  expect(passes(['stages.1.blocks.0.*'], 'MT/1')).toBe(1 + 1 + 2 * 3 + 2);
});

test('the baseline of equal cost takes as many more steps as its blocks are cheaper', () => {
  const recipe = defineRecipe({
    ...recipeOf([]),
    phases: { E2E: { freeze: ['stages.0.*'] } },
  } as RecipeInput);
  const e2e = phasePlan(phaseOf(recipe, 'E2E'), 100);
  const own = ['PT', 'MT/0', 'MT/1', 'MT/2', 'FT'] as const;
  const cost = own.reduce((sum, name) => sum + phasePlan(phaseOf(recipe, name), 100).block_passes, 0);
  expect(e2e.steps).toBe(Math.ceil(cost / (14 * 4)));
});

test('memory: training only the head keeps no activations of blocks', () => {
  const memory = (patterns: string[]) => phasePlan(phaseOf(recipeOf(patterns), 'FT'), 100).memory;
  expect(memory(ALL_BUT_HEAD)).toMatchObject({ activations: 0, activations_checkpointed: 0 });
  const [all, half] = [memory([]), memory(['stages.0.*', 'stages.1.blocks.0.*'])];
  expect(Number(half.activations)).toBeLessThan(0.6 * Number(all.activations));
  expect(Number(half.peak)).toBeLessThan(Number(all.peak));
  expect(memory(['blocks.*']).activations).toBeGreaterThan(0);
});

test('a pattern that matches nothing is an error of the plan, too', () => {
  const { message } = failure(() => phasePlan(phaseOf(recipeOf(['block.*']), 'FT'), 100));
  expect(message).toBe('freeze: the pattern block.* matches no parameter of the model');
});

test.each([
  { patterns: ['*'], name: 'FT' },
  { patterns: ['stages.*'], name: 'FT' },
  { patterns: ['stages.1.*'], name: 'MT/1' },
] as const)('$patterns leave nothing to train in $name', ({ patterns, name }) => {
  const message = `freeze: ${patterns.join(', ')} leave no parameter to train`;
  expect(failure(() => phasePlan(phaseOf(recipeOf(patterns, {}, {}, name), name), 100)).message).toBe(
    message,
  );
  expect(failure(() => built(recipeOf(patterns, {}, {}, name), name)).message).toBe(message);
});
