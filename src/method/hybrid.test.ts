import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { type Regime, StagedModel } from '../models/staged.js';
import { vit } from '../models/vit/vit.js';
import { backward } from '../torch/autograd.js';
import { crossEntropy, fillNormal, zeros } from '../torch/ops.js';
import { profile } from '../torch/profile.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { fromArray } from '../torch/tensor.js';
import { assemble } from './assemble.js';
import { hybrid, hybridDepths, hybridRegimes } from './hybrid.js';

const STAGES = 4;
const TARGET = [2, 3, 1, 2];
const blueprint = vit({
  imageSize: 8,
  patchSize: 4,
  channels: 3,
  classes: 5,
  width: 8,
  depth: 8,
  heads: 2,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
});
const generator = new Generator().seed(['hybrid']);
const images = zeros([6, 3, 8, 8]);
fillNormal(images, 0, 1, generator);
const labels = fromArray(BigInt64Array.from([0, 1, 2, 3, 4, 0], BigInt), [6]);

function build(depths: readonly number[], regimes: readonly Regime[]): StagedModel {
  const context = { device: 'cpu', dtype: 'F32', generator } as const;
  return assemble(
    blueprint,
    depths,
    depths.map(() => null),
    context,
    { regimes, dropPath: 0.1 },
  );
}

/** How often the operators that do the work of a layer run in the forward and in the backward pass. */
function work(model: StagedModel) {
  return scope(() => {
    let loss = zeros([]);
    const forward = profile(() => {
      loss = crossEntropy(model.forward(images, { training: true, generator, key: [] }), labels);
    });
    return { forward: counts(forward), back: counts(profile(() => backward(loss))) };
  });
}

function counts(operators: ReturnType<typeof profile>) {
  const count = (pattern: RegExp) =>
    [...operators].reduce((total, [name, { count: times }]) => total + (pattern.test(name) ? times : 0), 0);
  return {
    products: count(/^aten::(mm|addmm|bmm|baddbmm)$/),
    norms: count(/^aten::native_layer_norm(_backward)?$/),
    attentions: count(/^aten::_scaled_dot_product_.*(_cpu|_backward|attention)$/),
    gelus: count(/^aten::gelu(_backward)?$/),
  };
}

// A block: four Linears (five in the last, whose query is only that of the class token), two norms, one attention, one GELU. The stem is one Linear, the head a norm and a Linear.
const LINEARS = 4;
const total = (depths: readonly number[]) => depths.reduce((a, b) => a + b, 0);

/** Of the backward pass: a trained Linear is two products (of input and weight), a frozen one after it one. */
function expected(depths: readonly number[], regimes: readonly Regime[]) {
  const blocksOf = (regime: Regime) => total(depths.filter((_, stage) => regimes[stage] === regime));
  const passed = blocksOf('trained') + blocksOf('suffix');
  // The images need no gradient, so the stem has only that of its weight.
  const stem = regimes[0] === 'trained' ? 1 : 0;
  // The head, and the last block's fifth Linear.
  const ends = regimes[depths.length - 1] === 'trained' ? 2 + 2 : 1 + 1;
  return {
    products: stem + 2 * LINEARS * blocksOf('trained') + LINEARS * blocksOf('suffix') + ends,
    norms: 2 * passed + 1,
    attentions: passed,
    gelus: passed,
  };
}

describe.each([0, 1, 2, 3])('module %i in its hybrid', (index) => {
  const depths = hybridDepths(TARGET, [1, 1, 1, 1], index);
  const regimes = hybridRegimes(STAGES, index);
  const blocks = total(depths);

  test('no weight gradient of a frozen stage is computed (matrix products counted)', () => {
    const { forward, back } = work(build(depths, regimes));
    expect(forward).toEqual({
      products: 1 + LINEARS * blocks + 1 + 1,
      norms: 2 * blocks + 1,
      attentions: blocks,
      gelus: blocks,
    });
    expect(back).toEqual(expected(depths, regimes));
  });

  test('trained end to end, or with a trainable suffix, the same model needs more', () => {
    const all = Array.from({ length: STAGES }, (): Regime => 'trained');
    const { back } = work(build(depths, all));
    expect(back).toEqual(expected(depths, all));
    expect(back.products).toBe(1 + 2 * LINEARS * blocks + 2 + 2);
    expect(back.products).toBeGreaterThan(expected(depths, regimes).products);

    const official = regimes.map((regime): Regime => (regime === 'suffix' ? 'trained' : regime));
    const wasted = LINEARS * (STAGES - 1 - index) + (index === STAGES - 1 ? 0 : 1 + 1);
    expect(work(build(depths, official)).back.products).toBe(expected(depths, regimes).products + wasted);
  });

  test('only the module has gradients, in every parameter', () => {
    const model = build(depths, regimes);
    work(model);
    for (const [i, stage] of model.stages.entries()) {
      for (const [name, parameter] of stage.namedParameters()) {
        expect(parameter.grad !== null, `stages.${i}.${name}`).toBe(i === index);
      }
    }
  });

  test('nothing is recorded before it', () => {
    const { stages } = build(depths, regimes);
    const prefix = new StagedModel(stages.slice(0, index), regimes.slice(0, index));
    const upTo = new StagedModel(stages.slice(0, index + 1), regimes.slice(0, index + 1));
    const records = (model: StagedModel) =>
      scope(() => model.forward(images, { training: true, generator, key: [] }).requiresGrad);
    expect(records(prefix)).toBe(false);
    expect(records(upTo)).toBe(true);
  });
});

describe('hybrid', () => {
  const context = { device: 'cpu', dtype: 'F32', generator } as const;
  const meta = build([1, 1, 1, 1], ['trained', 'trained', 'trained', 'trained']);

  test('has the module at its position, and everything else frozen', () => {
    const { stages, regimes } = hybrid(blueprint, TARGET, meta, 1, context);
    expect(stages.map(({ blocks }) => blocks.length)).toEqual([1, 3, 1, 1]);
    expect(regimes).toEqual(['prefix', 'trained', 'suffix', 'suffix']);
    const trains = stages.map((stage) => stage.parameters().map(({ requiresGrad }) => requiresGrad));
    expect(trains.map((flags) => [...new Set(flags)])).toEqual([[false], [true], [false], [false]]);
  });

  test.each([-1, 4, 0.5])('refuses module %d of 4', (index) => {
    expect(() => hybrid(blueprint, TARGET, meta, index, context)).toThrow(InputError);
  });

  test('refuses a meta model with another number of stages, or another width', () => {
    expect(() => hybrid(blueprint, [4, 4], meta, 0, context)).toThrow(/meta model of 4 stages/);
    const wide = vit({
      imageSize: 8,
      patchSize: 4,
      channels: 3,
      classes: 5,
      width: 16,
      depth: 8,
      heads: 2,
      mlpRatio: 2,
      qkvBias: true,
      layerNormEps: 1e-6,
      classToken: true,
    });
    expect(() => hybrid(wide, TARGET, meta, 0, context)).toThrow(InputError);
  });

  test('refuses a target that is not all blocks of the model', () => {
    const call = () => hybrid(blueprint, [2, 3, 1, 3], meta, 0, context);
    expect(call).toThrow(InputError);
    expect(call).toThrow('add up to 9, but the model has 8 blocks');
  });
});
