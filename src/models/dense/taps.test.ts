import { describe, expect, test } from 'vitest';
import { assemble } from '../../method/assemble.js';
import { divide, metaDepths } from '../../method/divide.js';
import { grow } from '../../method/grow.js';
import { hybrid } from '../../method/hybrid.js';
import { sharedPrefix } from '../../method/shared-prefix.js';
import { activationTape } from '../../nn/activation-checkpoint.js';
import { imageCost, parameterCount } from '../../plan/cost.js';
import { backward, clearGrads, noGrad } from '../../torch/autograd.js';
import { fillNormal, mean, mul, zeros } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';
import type { StagedModel } from '../staged.js';
import type { VitConfig } from '../vit/config.js';
import { vit } from '../vit/vit.js';
import { untapped } from './taps.js';

const decoder = {
  neck: 'multilevel',
  taps: [1, 3, 5, 7],
  channels: 8,
  auxTap: 3,
  auxChannels: 4,
  dropout: 0.2,
} as const;
const config: VitConfig = {
  imageSize: 32,
  patchSize: 8,
  channels: 3,
  classes: 5,
  width: 16,
  depth: 8,
  heads: 2,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
  decoder,
};
const context = () =>
  ({ device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) }) as const;
const evaluation = { training: false, generator: new Generator(), key: [] };
const training = { training: true, generator: new Generator(), key: [0, 'test', 3] };

function images(height = 32, width = 32): Tensor {
  const drawn = zeros([2, 3, height, width]);
  fillNormal(drawn, 0, 1, new Generator().seed([1]));
  return drawn;
}

const values = (model: StagedModel, x: Tensor) =>
  scope(() => noGrad(() => [...model.forward(x, evaluation).toFloat32Array()]));

test('the head decodes what the blocks of the taps return', () => {
  scope(() => {
    const model = assemble(vit(config), [8], null, context());
    const [stage] = model.stages;
    const outputs: Tensor[] = [];
    const x = images();
    let y = noGrad(() => stage.stem?.forward(x, evaluation) as Tensor);
    for (const [i, block] of stage.blocks.entries()) {
      const before = y;
      y = noGrad(() => untapped(block).forward(before, evaluation));
      if (decoder.taps.includes(i as 1)) outputs.push(y);
    }
    const state = noGrad(() => {
      let all = stage.stem?.forward(x, evaluation) as Tensor;
      for (const block of stage.blocks) all = block.forward(all, evaluation);
      return all;
    });
    // 16 patches of each tap, without the class token.
    expect(state.shape).toEqual([2, 64, 16]);
    const carried = state.toFloat32Array();
    for (const [tap, output] of outputs.entries()) {
      const own = output.toFloat32Array();
      for (const image of [0, 1]) {
        const from = (image * 64 + tap * 16) * 16;
        const expected = own.slice((image * 17 + 1) * 16, (image * 17 + 17) * 16);
        expect(carried.slice(from, from + 256)).toEqual(expected);
      }
    }
    expect(model.forward(x, evaluation).shape).toEqual([2, 5, 16, 16]);
    expect(model.forward(x, training).shape).toEqual([2, 5, 16 * 16 + 2 * 2]);
  });
});

test.each([
  [2, 1],
  [4, 1],
  [8, 1],
  [2, 3],
])('%d modules of meta depth %d: stages and their divisions give the same logits', (modules, metaDepth) => {
  scope(() => {
    const target = divide(8, { modules });
    const x = images();
    const blueprint = vit(config);
    const whole = assemble(blueprint, target, null, context());
    let y = x;
    for (const i of target.keys()) {
      const before = y;
      y = noGrad(() => whole.forwardStages(before, i, i + 1, evaluation));
    }
    expect([...y.toFloat32Array()]).toEqual(values(whole, x));

    const meta = assemble(blueprint, metaDepths(modules, Math.min(metaDepth, 8 / modules)), null, context(), {
      target,
    });
    expect(meta.forward(x, evaluation).shape).toEqual([2, 5, 16, 16]);
    for (const [i] of target.entries()) {
      const made = hybrid(blueprint, target, meta, i, context());
      const loss = mean(made.forward(x, training));
      backward(loss);
      const without = made.trainedParameters().filter(([, parameter]) => parameter.grad === null);
      expect(without.map(([name]) => name)).toEqual([]);
      expect(made.trainedParameters().every(([name]) => name.startsWith(`stages.${i}.`))).toBe(true);
    }
  });
});

test('modules grown from the meta model compute what it computes, taps included', () => {
  scope(() => {
    const blueprint = vit(config);
    const target = divide(8, { modules: 2 });
    const meta = assemble(blueprint, metaDepths(2), null, context(), { target });
    const grown = target.map((_, i) => grow(blueprint, target, i, meta.stages[i], 'grown', context()));
    const model = assemble(blueprint, target, grown, context());
    // The meta block stands for both taps of its module, and the grown blocks after it are the identity.
    expect(values(model, images())).toEqual(values(meta, images()));
  });
});

test('hybrids share the prefix, and recomputed blocks have the same gradients', () => {
  scope(() => {
    const blueprint = vit(config);
    const target = divide(8, { modules: 4 });
    const meta = assemble(blueprint, metaDepths(4), null, context(), { target });
    const made = hybrid(blueprint, target, meta, 2, context());
    const x = images();
    const gradients = (run: () => void) => {
      const parameters = made.trainedParameters().map(([, parameter]) => parameter);
      clearGrads(parameters);
      run();
      return parameters.map((parameter) => [...(parameter.grad as Tensor).toFloat32Array()]);
    };
    const loss = (y: Tensor) => mean(mul(y, y));
    const plain = gradients(() => backward(loss(made.forward(x, training))));
    const prefix = sharedPrefix();
    expect(gradients(() => backward(loss(prefix.of(made).forward(x, training))))).toEqual(plain);
    prefix.free();
    const tape = activationTape();
    const recomputed = gradients(() => {
      backward(loss(made.forward(x, { ...training, tape })));
      tape.backward();
    });
    tape.free();
    expect(recomputed).toEqual(plain);
  });
});

describe('images of other sizes', () => {
  test.each([
    [40, 24],
    [64, 32],
  ])('%d x %d pixels', (height, width) => {
    scope(() => {
      const model = assemble(vit(config), [4, 4], null, context());
      const logits = model.forward(images(height, width), evaluation);
      expect(logits.shape).toEqual([2, 5, height / 2, width / 2]);
    });
  });
});

test.each(['multilevel', 'deconv'] as const)(
  'the planned parameters are those of the model, neck %s',
  (neck) => {
    const blueprint = vit({ ...config, decoder: { ...decoder, neck } });
    const model = assemble(blueprint, [4, 4], null, context());
    const count = model.parameters().reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(parameterCount(blueprint, [4, 4])).toBe(count);
    const names = [...model.stages[1].namedParameters()]
      .map(([name]) => name)
      .filter((name) => !name.startsWith('blocks.'));
    expect(Object.keys(blueprint.cost.head.tensors ?? {}).toSorted()).toEqual(names.toSorted());
    expect(imageCost(blueprint, [4, 4], ['trained', 'trained']).macs).toBeGreaterThan(0);
    model.free();
  },
);
