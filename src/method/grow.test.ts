import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { resnet } from '../models/resnet/resnet.js';
import type { Blueprint, StagedModel } from '../models/staged.js';
import { vit } from '../models/vit/vit.js';
import type { InitContext } from '../nn/init.js';
import { weightsOf } from '../nn/weights.js';
import { backward, noGrad } from '../torch/autograd.js';
import { copyInto, crossEntropy, fillNormal, fillUniform, reshape, zeros } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { fromArray } from '../torch/tensor.js';
import { assemble } from './assemble.js';
import { grow } from './grow.js';
import { growPlan } from './grow-plan.js';
import { hybrid } from './hybrid.js';

const generator = new Generator().seed(['grow']);
const VIT = {
  imageSize: 32,
  patchSize: 8,
  channels: 3,
  classes: 5,
  width: 48,
  depth: 9,
  heads: 3,
  mlpRatio: 4,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
} as const;
const RESNET = { imageSize: 16, channels: 3, classes: 5, widths: [8, 16, 32] } as const;

/** Each with its target, and the depths of its meta model. */
const MODELS: [name: string, blueprint: Blueprint, target: number[], meta: number[]][] = [
  ['a ViT', vit(VIT), [3, 3, 3], [1, 1, 1]],
  ['a ViT of uneven modules and deeper meta stages', vit(VIT), [2, 5, 2], [2, 2, 2]],
  ['a ViT that pools by the mean', vit({ ...VIT, pool: 'mean', fcNorm: true }), [3, 3, 3], [1, 1, 1]],
  ['a ViT like DeiT-III', vit({ ...VIT, layerScale: 0.1, noEmbedClass: true }), [4, 5], [1, 2]],
  ['a distilled ViT', vit({ ...VIT, distilled: true }), [4, 5], [1, 1]],
  ['a ResNet', resnet({ ...RESNET, blocks: [3, 3, 3], shortcut: 'A' }), [3, 3, 3], [1, 1, 1]],
  [
    'a ResNet of modules that begin within a width',
    resnet({ ...RESNET, blocks: [3, 3, 3], shortcut: 'B' }),
    [2, 4, 3],
    [1, 1, 1],
  ],
  [
    'a ResNet with deeper meta stages',
    resnet({ ...RESNET, blocks: [2, 4, 3], shortcut: 'B' }),
    [5, 4],
    [2, 2],
  ],
];

/** A model as if it had been trained: no weight is zero or one, and batch norms have statistics. */
function metaModel(
  blueprint: Blueprint,
  target: number[],
  depths: number[],
  context: InitContext,
): StagedModel {
  const model = assemble(blueprint, depths, null, context, { target });
  noGrad(() =>
    scope(() => {
      for (const [name, weight] of model.namedWeights()) {
        if (name.endsWith('num_batches_tracked')) continue;
        const drawn = zeros(weight.shape, context.dtype);
        if (/running_var|bn\d\.weight/.test(name)) fillUniform(drawn, 0.5, 1.5, generator);
        else fillNormal(drawn, 0, 0.3, generator);
        copyInto(weight, drawn);
      }
    }),
  );
  return model;
}

function imagesOf(context: InitContext, { input }: Blueprint) {
  const images = zeros([7, input.channels, input.size, input.size], context.dtype);
  fillNormal(images, 0, 1, generator);
  return images;
}

const evaluated = (model: StagedModel, images: ReturnType<typeof zeros>) =>
  noGrad(() => model.forward(images, { training: false, generator, key: [] })).toData();

describe.each(['F64', 'F32'] as const)('in %s', (dtype) => {
  const context = { device: 'cpu', dtype, generator } as const;

  test.each(MODELS)(
    '%s: every hybrid and the assembled model have the bits of the meta model',
    (_, blueprint, target, depths) => {
      const meta = metaModel(blueprint, target, depths, context);
      const images = imagesOf(context, blueprint);
      const logits = evaluated(meta, images);
      expect(new Set(logits.data).size).toBeGreaterThan(8);
      for (const index of target.keys()) {
        const grown = hybrid(blueprint, target, meta, index, context, { init: 'grown', dropPath: 0.1 });
        expect(grown.stages[index].blocks).toHaveLength(target[index]);
        expect(evaluated(grown, images)).toEqual(logits);
        expect(evaluated(hybrid(blueprint, target, meta, index, context), images)).not.toEqual(logits);
      }
      const modules = target.map((__, i) => grow(blueprint, target, i, meta.stages[i], 'grown', context));
      const model = assemble(blueprint, target, modules, context);
      expect(evaluated(model, images)).toEqual(logits);
    },
  );
});

const context = { device: 'cpu', dtype: 'F32', generator } as const;

test.each(MODELS)(
  '%s: the last projections of identity blocks get gradients',
  (_, blueprint, target, depths) => {
    const meta = metaModel(blueprint, target, depths, context);
    const modules = target.map((__, i) => grow(blueprint, target, i, meta.stages[i], 'grown', context));
    const model = assemble(blueprint, target, modules, context);
    scope(() => {
      const logits = model.forward(imagesOf(context, blueprint), { training: true, generator, key: [] });
      const rows = reshape(logits, [-1, blueprint.classes]);
      const labels = BigInt64Array.from({ length: rows.shape[0] }, (__, i) => BigInt(i % blueprint.classes));
      backward(crossEntropy(rows, fromArray(labels, [labels.length])));
    });
    const last = [...model.namedParameters()].filter(([name]) =>
      /(attn\.proj|mlp\.fc2|bn2)\.weight$/.test(name),
    );
    expect(last.length).toBeGreaterThan(8);
    for (const [name, { grad }] of last) {
      expect(
        grad?.toFloat32Array().some((value) => value !== 0),
        name,
      ).toBe(true);
    }
  },
);

test('a grown module is the meta stage followed by blocks that are the identity; the last block stays last', () => {
  const blueprint = vit(VIT);
  const [target, meta] = [[3, 3, 3], metaModel(vit(VIT), [3, 3, 3], [1, 1, 1], context)];
  for (const [index, place] of [0, 0, 2].entries()) {
    const stage = weightsOf(meta.stages[index]);
    const { weights } = grow(blueprint, target, index, meta.stages[index], 'grown', context);
    for (const [name, tensor] of stage) {
      expect(weights.get(name.replace(/^blocks\.0\./, `blocks.${place}.`)), name).toEqual(tensor);
    }
    for (const block of [0, 1, 2].filter((each) => each !== place)) {
      for (const last of ['attn.proj', 'mlp.fc2']) {
        for (const kind of ['weight', 'bias']) {
          expect(weights.get(`blocks.${block}.${last}.${kind}`)?.data.every((byte) => byte === 0)).toBe(true);
        }
      }
      expect(weights.get(`blocks.${block}.attn.qkv.weight`)?.data.some((byte) => byte !== 0)).toBe(true);
    }
  }
});

test('the identity blocks of different modules differ', () => {
  const meta = metaModel(vit(VIT), [3, 3, 3], [1, 1, 1], context);
  const [a, b] = [0, 1].map((i) => grow(vit(VIT), [3, 3, 3], i, meta.stages[i], 'grown', context).weights);
  expect(a.get('blocks.1.mlp.fc1.weight')).not.toEqual(b.get('blocks.1.mlp.fc1.weight'));
});

test('a stacked module repeats the blocks of the meta stage', () => {
  const meta = metaModel(vit(VIT), [4, 5], [2, 2], context);
  const stage = weightsOf(meta.stages[1]);
  const { weights } = grow(vit(VIT), [4, 5], 1, meta.stages[1], 'stacked', context);
  for (const [block, source] of [0, 0, 1, 1, 1].entries()) {
    expect(weights.get(`blocks.${block}.mlp.fc1.weight`)).toEqual(
      stage.get(`blocks.${source}.mlp.fc1.weight`),
    );
  }
  expect(weights.get('head.weight')).toEqual(stage.get('head.weight'));
});

const small = resnet({ ...RESNET, blocks: [3, 3, 3], shortcut: 'A' });

test.each([
  ['a ViT', vit(VIT), { target: [4, 5], index: 1, metaDepth: 2, init: 'grown' }, [0, null, null, null, 1]],
  ['a ViT', vit(VIT), { target: [5, 4], index: 0, metaDepth: 2, init: 'grown' }, [0, null, 1, null, null]],
  ['a ResNet', small, { target: [2, 4, 3], index: 1, metaDepth: 1, init: 'grown' }, [null, 0, null, null]],
  ['a ResNet', small, { target: [3, 3, 3], index: 1, metaDepth: 2, init: 'stacked' }, [0, 1, 1]],
] as const)('%s grows by plan', (_, blueprint, growing, plan) => {
  expect(growPlan(blueprint, growing)).toEqual(plan);
});

test('models that cannot be grown are refused', () => {
  const refused = (blueprint: Blueprint, growing: Parameters<typeof growPlan>[1]) =>
    expect(() => growPlan(blueprint, growing));
  const { zeroBranches: _, ...own } = vit(VIT);
  refused(own, { target: [4, 5], index: 0, metaDepth: 1, init: 'grown' }).toThrow(InputError);
  refused(own, { target: [4, 5], index: 0, metaDepth: 1, init: 'grown' }).toThrow(
    /cannot be made the identity/,
  );
  expect(growPlan(own, { target: [4, 5], index: 0, metaDepth: 1, init: 'stacked' })).toEqual([0, 0, 0, 0]);
  refused(vit(VIT), { target: [1, 8], index: 0, metaDepth: 2, init: 'grown' }).toThrow(
    'module 0 has 1 blocks, its meta stage 2',
  );
  refused(small, { target: [2, 7], index: 1, metaDepth: 1, init: 'grown' }).toThrow(
    'block 0 of meta stage 1 stands for blocks 3 and 6, each of which changes the shape',
  );
  refused(small, { target: [3, 3, 3], index: 1, metaDepth: 1, init: 'stacked' }).toThrow(
    'no block of meta stage 1 has the input and output shapes of block 4',
  );
});
