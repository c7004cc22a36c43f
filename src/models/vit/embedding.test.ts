import { expect, test } from 'vitest';
import { assemble } from '../../method/assemble.js';
import { divide, metaDepths } from '../../method/divide.js';
import { hybrid } from '../../method/hybrid.js';
import { loadWeights, weightsOf } from '../../nn/weights.js';
import { backward } from '../../torch/autograd.js';
import { mul, sum, zeros } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { scope } from '../../torch/scope.js';
import { fromArray } from '../../torch/tensor.js';
import type { StagedModel } from '../staged.js';
import type { VitConfig } from './config.js';
import { fitStem } from './fit-weights.js';
import { vit } from './vit.js';

const config: VitConfig = {
  imageSize: 24,
  patchSize: 4,
  channels: 1,
  classes: 3,
  width: 8,
  depth: 4,
  heads: 2,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
};
const context = () =>
  ({ device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) }) as const;
const pass = (training: boolean) => ({ training, generator: new Generator(), key: [0] });
const images = (side: number) =>
  fromArray(
    Float32Array.from({ length: 2 * side * side }, (_, i) => Math.sin(i * i)),
    [2, 1, side, side],
  );
const build = (own: VitConfig) => assemble(vit(own), divide(4, { modules: 2 }), null, context());

function logitsOf(model: StagedModel, side: number): Float32Array {
  return scope(() => model.forward(images(side), pass(true)).toFloat32Array());
}

test.each([
  ['class token', {}],
  ['position embedding without its slot', { noEmbedClass: true }],
  ['distillation token', { distilled: true }],
  ['no token', { classToken: false }],
] as const)('a model gives smaller images the logits of one that was made for them: %s', (_, more) => {
  const own = { ...config, ...more };
  const model = build(own);
  for (const side of [4, 12, 20]) {
    const small = { ...own, imageSize: side };
    const made = build(small);
    for (const [i, stage] of made.stages.entries()) {
      const weights = weightsOf(model.stages[i]);
      loadWeights(stage, i === 0 ? fitStem(weights, small, 'test') : weights, 'test');
    }
    expect(logitsOf(model, side)).toEqual(logitsOf(made, side));
  }
  expect(model.stages[0].parameters().length).toBeGreaterThan(0);
});

test('the gradient reaches every slot of the full position embedding, and is that of finite differences', () => {
  const { stem } = build(config).stages[0];
  if (stem === null) throw new Error('no stem');
  const [[, positions]] = [...stem.namedParameters()].filter(([name]) => name === 'pos_embed');
  const weights = fromArray(
    Float32Array.from({ length: 2 * 10 * 8 }, (_, i) => Math.cos(i)),
    [2, 10, 8],
  );
  const loss = () => scope(() => sum(mul(stem.forward(images(12), pass(true)), weights)));
  backward(loss(), 1);
  const gradient = positions.grad?.toFloat32Array() ?? new Float32Array();
  expect(gradient).toHaveLength(37 * 8);
  const start = positions.toData();
  for (const at of [0, 8 * 5, 8 * 22 + 3, 8 * 36 + 7]) {
    const moved = [0.5, -0.5].map((by) => {
      const values = new Float32Array(start.data.slice().buffer);
      values[at] += by;
      loadWeights(
        stem,
        new Map([...weightsOf(stem), ['pos_embed', { ...start, data: new Uint8Array(values.buffer) }]]),
        't',
      );
      return loss().item();
    });
    expect(moved[0] - moved[1]).toBeCloseTo(gradient[at], 2);
  }
});

test('the meta model and every hybrid take smaller images', () => {
  const blueprint = vit(config);
  const meta = assemble(blueprint, metaDepths(2), null, context());
  for (const index of [0, 1]) {
    const mixed = hybrid(blueprint, [2, 2], meta, index, context());
    for (const side of [8, 16, 24]) expect(mixed.forward(images(side), pass(true)).shape).toEqual([2, 3]);
  }
  expect(meta.forward(images(8), pass(false)).shape).toEqual([2, 3]);
});

test.each([
  [10, 10],
  [12, 8],
  [2, 2],
])('images of %i x %i pixels are refused', (height, width) => {
  expect(() => build(config).forward(zeros([1, 1, height, width]), pass(true))).toThrow(
    `the images are ${width} x ${height} pixels`,
  );
});
