import { describe, expect, test } from 'vitest';
import { TINY } from '../../test/tiny-vit.js';
import { InputError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import type { StagedModel } from '../models/staged.js';
import { vit } from '../models/vit/vit.js';
import { weightsOf } from '../nn/weights.js';
import { noGrad } from '../torch/autograd.js';
import { fillNormal, zeros } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { assemble, type StageWeights } from './assemble.js';
import { hybridDepths, hybridRegimes } from './hybrid.js';

const blueprint = vit(TINY);
const generator = new Generator();
const context = { device: 'cpu', dtype: 'F32', generator } as const;
const META = [1, 1, 1];
const TARGET = [1, 2, 1];

function scratch(depths: readonly number[], seed: number): StagedModel {
  generator.seed([seed]);
  return assemble(
    blueprint,
    depths,
    depths.map(() => null),
    context,
  );
}
const stagesOf = (model: StagedModel, source: string): StageWeights[] =>
  model.stages.map((stage) => ({ weights: weightsOf(stage), source }));

const images = zeros([4, 1, 8, 8]);
fillNormal(images, 0, 1, generator);
const logits = (model: StagedModel) =>
  scope(() => noGrad(() => model.forward(images, { training: false, generator, key: [] }).toFloat32Array()));

test('a hybrid is the meta model around a new module, bit by bit', () => {
  const meta = scratch(META, 1);
  const stages: (StageWeights | null)[] = stagesOf(meta, 'PT');
  stages[1] = null;
  generator.seed([2]);
  const hybrid = assemble(blueprint, hybridDepths(TARGET, META, 1), stages, context, {
    regimes: hybridRegimes(3, 1),
  });
  for (const i of [0, 2]) expect(weightsOf(hybrid.stages[i])).toEqual(weightsOf(meta.stages[i]));
  expect([...weightsOf(hybrid.stages[1]).keys()].filter((name) => name.startsWith('blocks.1.'))).toHaveLength(
    12,
  );
  expect(weightsOf(hybrid.stages[1]).get('blocks.0.attn.qkv.weight')).not.toEqual(
    weightsOf(meta.stages[1]).get('blocks.0.attn.qkv.weight'),
  );
  expect(hybrid.stages.map((stage) => stage.parameters().every(({ requiresGrad }) => requiresGrad))).toEqual([
    false,
    true,
    false,
  ]);
});

test('the target contains all modules, and computes what they compute', () => {
  const [first, second] = [scratch(TARGET, 1), scratch(TARGET, 2)];
  const mixed = stagesOf(first, 'MT/0');
  mixed[1] = stagesOf(second, 'MT/1')[1];
  const target = assemble(blueprint, TARGET, mixed, context);
  expect(weightsOf(target.stages[0])).toEqual(mixed[0].weights);
  expect(weightsOf(target.stages[1])).toEqual(mixed[1].weights);
  expect(logits(target)).not.toEqual(logits(first));
  expect(logits(assemble(blueprint, TARGET, stagesOf(first, 'MT/0'), context))).toEqual(logits(first));
  expect(target.parameters().every(({ requiresGrad }) => requiresGrad)).toBe(true);
});

test('without weights, it is initialised from the generator', () => {
  expect(weightsOf(scratch(TARGET, 1))).toEqual(weightsOf(scratch(TARGET, 1)));
  expect(weightsOf(scratch(TARGET, 1))).not.toEqual(weightsOf(scratch(TARGET, 2)));
});

describe('weights that are not exactly the stage are refused, naming file, stage and tensor', () => {
  const whole = stagesOf(scratch(TARGET, 1), 'MT.safetensors');
  const changed = (stage: number, change: (weights: Map<string, TensorData>) => void): StageWeights[] =>
    whole.map((given, i) => {
      if (i !== stage) return given;
      const weights = new Map(given.weights);
      change(weights);
      return { ...given, weights };
    });
  const message = (depths: readonly number[], stages: readonly StageWeights[]): string => {
    try {
      assemble(blueprint, depths, stages, context);
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      return (error as InputError).message;
    }
    throw new Error('no error was thrown');
  };

  test('a missing tensor, whichever it is', () => {
    for (const [stage, { weights }] of whole.entries()) {
      for (const name of weights.keys()) {
        const without = changed(stage, (all) => all.delete(name));
        expect(message(TARGET, without)).toBe(`MT.safetensors, stage ${stage} has no ${name}`);
      }
    }
  });

  test('an unexpected tensor', () => {
    const extra = changed(2, (all) => all.set('head_dist.weight', all.get('head.weight') as TensorData));
    expect(message(TARGET, extra)).toBe(
      'MT.safetensors, stage 2 contains head_dist.weight, which the model does not have',
    );
  });

  test('a tensor with another shape', () => {
    const wrong = changed(0, (all) => all.set('pos_embed', all.get('cls_token') as TensorData));
    expect(message(TARGET, wrong)).toBe(
      'MT.safetensors, stage 0: pos_embed has shape [1, 1, 8], but the model needs [1, 5, 8]',
    );
  });

  test('a stage with another depth, or at another position', () => {
    expect(message([1, 1, 1], whole)).toContain(
      'stage 1 contains blocks.1.norm1.weight, blocks.1.norm1.bias',
    );
    expect(message([1, 3, 1], whole)).toContain('stage 1 has no blocks.2.norm1.weight');
    expect(message([1, 1, 1], [whole[2], whole[0], whole[0]])).toContain(
      'stage 0 has no pos_embed, cls_token',
    );
  });

  test('another number of stages', () => {
    expect(message(TARGET, whole.slice(1))).toBe('3 stages to assemble, but the weights have 2');
  });
});

test.each([[[]], [[1, 0, 1]], [[1, -1]], [[1.5]], [[Number.NaN]]])(
  'stages of %j blocks are refused',
  (depths) => {
    expect(() => assemble(blueprint, depths, null, context)).toThrow(InputError);
  },
);

describe('a layer that a blueprint returns twice is refused by name', () => {
  const { makeBlock, makeHead } = blueprint;
  const own = { ...blueprint, makeBlock: makeBlock.bind(blueprint), makeHead: makeHead.bind(blueprint) };

  test('within a model', () => {
    const block = makeBlock(0, context, { from: 0, to: 1, isLast: false });
    const shared = { ...own, makeBlock: () => block };
    expect(() => assemble(shared, TARGET, null, context)).toThrow(
      'stage 1: blocks.0.norm1.weight also belongs to another layer',
    );
  });

  test('in two models, where the frozen part of the second would be that of the first', () => {
    const stem = blueprint.makeStem(context);
    const shared = { ...own, makeStem: () => stem };
    const first = assemble(shared, TARGET, null, context);
    expect(() => assemble(shared, TARGET, first.stages, context)).toThrow(
      'stage 0: pos_embed also belongs to another layer',
    );
  });
});

test.each([{ regimes: ['trained'] as const }, { dropPath: Number.NaN }, { dropPath: 1.5 }])(
  '%o is refused',
  (options) => {
    expect(() => assemble(blueprint, TARGET, null, context, options)).toThrow(InputError);
  },
);
