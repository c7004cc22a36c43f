import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { goldenJson } from '../../test/support.js';
import { TINY } from '../../test/tiny-vit.js';
import { InputError } from '../base/errors.js';
import { loadWeights, weightsOf } from '../nn/weights.js';
import { noGrad } from '../torch/autograd.js';
import { fillNormal, zeros } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { liveHandles, scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import {
  buildStage,
  type DropPathSchedule,
  dropPathRates,
  Layer,
  type Pass,
  type Regime,
  Stage,
  StagedModel,
} from './staged.js';
import { vit } from './vit/vit.js';

interface Rates {
  readonly divided_depths: number[];
  readonly rate: number;
  readonly per_stage: number[][];
}

describe('drop-path rates', () => {
  const { note: _, ...cases } = goldenJson<Record<string, Rates>>('f_droppath.json');

  test.each(Object.entries(cases))('%s: the official ones', (_name, { divided_depths, rate, per_stage }) => {
    const ours = dropPathRates(divided_depths, rate);
    expect(ours.map((stage) => stage.length)).toEqual(divided_depths);
    for (const [i, value] of ours.flat().entries())
      expect(Math.abs(value - per_stage.flat()[i])).toBeLessThan(1e-6);
  });

  test('rise from 0 to the rate, wherever the model is divided', () => {
    const depths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
    // Of rates below these float32 cannot hold the steps; nobody asks for them.
    const rates = fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 0.9, noNaN: true }));
    fc.assert(
      fc.property(depths, rates, (parts, rate) => {
        const all = dropPathRates(parts, rate).flat();
        expect(all).toEqual(dropPathRates([all.length], rate)[0]);
        expect(all[0]).toBe(0);
        if (all.length > 1) expect(all.at(-1)).toBe(Math.fround(rate));
        for (let i = 1; i < all.length; i++) expect(all[i]).toBeGreaterThanOrEqual(all[i - 1]);
      }),
    );
  });
});

test('constant drop-path rates are equal in all blocks, as in DeiT-III, including the first', () => {
  expect(dropPathRates([1, 3, 2], 0.45, 'constant')).toEqual([[0.45], [0.45, 0.45, 0.45], [0.45, 0.45]]);
  expect(dropPathRates([1], 0.2, 'constant')).toEqual([[0.2]]);
  const depths = [1, 2];
  const first = (dropPathSchedule: DropPathSchedule) => {
    const stage = buildStage(vit(TINY), { depths, dropPath: 0.5, dropPathSchedule }, 0, context);
    const of = (pass: Pass) => scope(() => [...noGrad(() => stage.forward(images, pass)).toFloat32Array()]);
    return { evaluated: of(evalPass), trained: of(training('drop')) };
  };
  const { evaluated, trained } = first('linear');
  expect(trained).toEqual(evaluated);
  const constant = first('constant');
  expect(constant.trained).not.toEqual(constant.evaluated);
});

const generator = new Generator().seed(['staged']);
const context = { device: 'cpu', dtype: 'F32', generator } as const;
const images = zeros([16, 1, 8, 8]);
fillNormal(images, 0, 1, generator);

const evalPass: Pass = { training: false, generator, key: [] };
const training = (...key: (string | number)[]): Pass => ({ training: true, generator, key });

function model(depths: number[], regimes?: Regime[], dropPath = 0): StagedModel {
  const blueprint = vit(TINY);
  return new StagedModel(
    depths.map((_, i) => buildStage(blueprint, { depths, dropPath }, i, context)),
    regimes,
  );
}

test('the first stage owns the stem, the last one the head, a single one both', () => {
  const { stages } = model([1, 2, 1]);
  expect(stages.map(({ stem, blocks, head }) => [stem !== null, blocks.length, head !== null])).toEqual([
    [true, 1, false],
    [false, 2, false],
    [false, 1, true],
  ]);
  const [single] = model([4]).stages;
  expect([single.stem !== null, single.blocks.length, single.head !== null]).toEqual([true, 4, true]);
});

test('parameters are named stage by stage, and only trained stages train', () => {
  const hybrid = model([1, 1, 1], ['prefix', 'trained', 'suffix']);
  const names = Array.from(hybrid.namedParameters(), ([name]) => name);
  expect(names).toContain('stages.0.pos_embed');
  expect(names).toContain('stages.1.blocks.0.attn.qkv.weight');
  expect(names).toContain('stages.2.head.bias');
  const trained = hybrid.trainedParameters().map(([name]) => name);
  expect(trained).toEqual(names.filter((name) => name.startsWith('stages.1.')));
  expect(model([2]).trainedParameters()).toHaveLength(names.length - 12);
});

test('the position of the cuts changes nothing', () => {
  const whole = model([4]);
  const [only] = whole.stages;
  const cut = new StagedModel([
    new Stage({ stem: only.stem, blocks: only.blocks.slice(0, 1), head: null }),
    new Stage({ stem: null, blocks: only.blocks.slice(1), head: only.head }),
  ]);
  const logits = (m: StagedModel) => scope(() => m.forward(images, evalPass).toFloat32Array());
  expect(logits(cut)).toEqual(logits(whole));
  expect(logits(whole)).toHaveLength(16 * 3);
});

describe('frozen stages', () => {
  const regimes: Regime[] = ['prefix', 'trained', 'suffix'];
  const run = (m: StagedModel, trains: boolean, seed = 0) =>
    scope(() => m.forward(images, { ...training('pass', seed), training: trains }).toFloat32Array());

  test('drop paths in training mode', () => {
    // Rates 0, 0.25, 0.5: with the middle block's branches zeroed, only the frozen last stage can differ.
    const hybrid = model([1, 1, 1], regimes, 0.5);
    noGrad(() => {
      for (const [name, parameter] of hybrid.stages[1].namedParameters()) {
        if (/(attn\.proj|mlp\.fc2)\.weight$/.test(name)) fillNormal(parameter, 0, 0, generator);
      }
    });
    expect(run(hybrid, true)).not.toEqual(run(hybrid, true, 1));
    expect(run(hybrid, true)).toEqual(run(hybrid, true));
    expect(run(hybrid, true)).not.toEqual(run(hybrid, false));
    expect(run(hybrid, false)).toEqual(run(hybrid, false, 1));
  });

  test('before the trained stage record nothing; after it they pass gradients on', () => {
    const prefix = model([1, 1, 1], ['prefix', 'prefix', 'prefix']);
    expect(scope(() => prefix.forward(images, training()).requiresGrad)).toBe(false);
    const suffix = model([1, 1, 1], ['trained', 'suffix', 'suffix']);
    expect(scope(() => suffix.forward(images, training()).requiresGrad)).toBe(true);
  });
});

test('a layer without an output is an error that names the method to fix', () => {
  class NoOutput extends Layer {
    forward(): Tensor {
      return undefined as never;
    }
  }
  const stage = new Stage({ stem: null, blocks: [new NoOutput()], head: null });
  expect(() => stage.forward(images, evalPass)).toThrow(InputError);
  expect(() => stage.forward(images, evalPass)).toThrow('a layer returned no tensor');
});

test('a forward pass frees its intermediate tensors', () => {
  const m = model([1, 2, 1]);
  const before = liveHandles();
  scope(() => {
    m.forward(images, training());
    expect(liveHandles()).toBe(before + 1);
  });
  expect(liveHandles()).toBe(before);
  m.free();
});

describe('what a block drops depends only on the key and its position', () => {
  test('only blocks with drop path seed the generator, in training', () => {
    const m = model([1, 2, 1], undefined, 0.5);
    const seed = vi.spyOn(generator, 'seed');
    scope(() => m.forward(images, evalPass));
    expect(seed).not.toHaveBeenCalled();
    scope(() => m.forward(images, training('run', 3)));
    expect(seed.mock.calls).toEqual([[['run', 3, 1, 0]], [['run', 3, 1, 1]], [['run', 3, 2, 0]]]);
    seed.mockRestore();
  });

  test('two hybrids have the same masks in the prefix they share', () => {
    const regimes: Regime[] = ['prefix', 'prefix', 'trained', 'trained'];
    const [one, other] = [model([1, 1, 2, 1], regimes, 0.9), model([1, 1, 1, 2], regimes, 0.9)];
    for (const stage of [0, 1]) loadWeights(other.stages[stage], weightsOf(one.stages[stage]), 'one');
    const features = (m: StagedModel, step: number) =>
      scope(() => m.forwardStages(images, 0, 2, training('MT', step)).toFloat32Array());
    scope(() => one.forward(images, training('MT', 7)));
    const shared = features(one, 7);
    scope(() => other.forwardStages(images, 0, 4, training('MT', 8)));
    expect(features(other, 7)).toEqual(shared);
    expect(features(other, 8)).not.toEqual(shared);
  });
});

describe('single stages', () => {
  const regimes: Regime[] = ['prefix', 'trained', 'suffix'];

  test('in sequence equal the model', () => {
    const m = model([1, 2, 1], regimes, 0.5);
    const pass = training('alone');
    const pieces = scope(() => {
      const features = m.forwardStages(images, 0, 1, pass);
      const logits = m.forwardStages(m.forwardStages(features, 1, 2, pass), 2, 3, pass);
      // What was given stays the caller's.
      expect(features.isFreed).toBe(false);
      return logits.toFloat32Array();
    });
    expect(pieces).toEqual(scope(() => m.forward(images, pass).toFloat32Array()));
    expect(scope(() => m.forwardStages(images, 1, 1, pass))).toBe(images);
  });

  test('record as their regimes state, and leave only the output', () => {
    const m = model([1, 2, 1], regimes);
    scope(() => {
      const features = m.forwardStages(images, 0, 1, training());
      expect(features.requiresGrad).toBe(false);
      const before = liveHandles();
      expect(m.forwardStages(features, 1, 2, training()).requiresGrad).toBe(true);
      expect(m.forwardStages(features, 2, 3, training()).requiresGrad).toBe(false);
      expect(liveHandles()).toBe(before + 2);
    });
  });

  test.each([
    [-1, 2],
    [2, 1],
    [0, 4],
    [Number.NaN, 1],
  ])('%i to %i are refused', (from, to) => {
    expect(() => model([1, 2, 1]).forwardStages(images, from, to, evalPass)).toThrow(RangeError);
  });
});
