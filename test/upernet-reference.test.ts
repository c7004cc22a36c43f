import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { UperNet } from '../src/models/dense/upernet.js';
import { loadWeights } from '../src/nn/weights.js';
import { segmentationLoss } from '../src/tasks/segmentation/segmentation.js';
import { backward, noGrad } from '../src/torch/autograd.js';
import { concat, permute, reshape, to, unbind } from '../src/torch/ops.js';
import { Generator } from '../src/torch/random.js';
import { scope } from '../src/torch/scope.js';
import { fromData, type Tensor } from '../src/torch/tensor.js';
import { readSafetensors } from '../src/weights/safetensors/safetensors.js';

// Against mmsegmentation's necks, heads and losses (fixtures/make-upernet.py), in float64 and float32.

const { tensors } = readSafetensors(join(import.meta.dirname, 'fixtures/upernet.safetensors'));
const WIDTH = 4;
const PATCH = 4;
/** mmsegmentation divides the loss by the number of pixels, 2 x 24 x 16, plus float32's epsilon. */
const LARGER = 1 + 2 ** -23 / 768;

const cases = [
  ['multilevel', 3],
  ['deconv', 2],
] as const;

describe.each(cases)('neck %s, auxiliary head on map %d', (neck, auxTap) => {
  describe.each([
    ['F64', 1e-10],
    ['F32', 1e-5],
  ] as const)('in %s', (dtype, bound) => {
    const stored = (name: string): TensorData => {
      const found = tensors.get(`${neck}.${name}`);
      if (found === undefined) throw new RangeError(name);
      return found;
    };
    const numbers = (name: string) =>
      scope(() => to(fromData(stored(name)), { dtype: 'F64' }).toFloat64Array());
    const expectClose = (found: Tensor, name: string, factor = 1) => {
      const expected = numbers(name).map((value) => value * factor);
      const values = to(found, { dtype: 'F64' }).toFloat64Array();
      expect(values).toHaveLength(expected.length);
      const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
      const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i])), 0);
      expect(worst / scale, name).toBeLessThan(bound);
    };
    const made = (name: string) => to(fromData(stored(name)), { dtype });
    const weights = (prefix: string) =>
      new Map(
        [...tensors.keys()]
          .filter((name) => name.startsWith(`${neck}.${prefix}.`))
          .map((name): [string, TensorData] => {
            const local = name.slice(neck.length + 1);
            const data = stored(local);
            const isFloating = data.dtype === 'F64';
            return [local.slice(prefix.length + 1), isFloating ? made(local).toData() : data];
          }),
      );
    const decoder = { neck, taps: [0, 1, 2, 3], channels: 6, auxTap, auxChannels: 3, dropout: 0 } as const;
    const plan = { decoder, width: WIDTH, patchSize: PATCH, classes: 5 };
    const size = [24, 16] as const;
    /** Tokens [B, 4 N, D] of the tapped maps. */
    const stateOf = (taps: Tensor) =>
      concat(
        unbind(taps, 0).map((map) => permute(reshape(map, [map.shape[0], WIDTH, -1]), [0, 2, 1])),
        1,
      );

    test('logits, losses, gradients and running statistics', () => {
      scope(() => {
        const generator = new Generator().seed([0]);
        const model = new UperNet(plan, { device: 'cpu', dtype, generator });
        loadWeights(model, weights('before'), 'mmsegmentation');
        const taps = made('taps');
        taps.requiresGrad = true;
        const pass = { training: true, generator, key: [0], size };
        const output = model.forward(stateOf(taps), pass);
        const both = ['logits', 'auxiliary'].map((name) => reshape(made(name), [2, 5, -1]));
        expect(output.shape).toEqual(concat(both, 2).shape);
        const labels = to(fromData(stored('labels')), { dtype: 'I64' });
        const loss = segmentationLoss(output, labels, { ...plan, auxWeight: 0.4 });
        expectClose(loss, 'loss', LARGER);
        backward(loss);
        expectClose(taps.grad as Tensor, 'grad.taps', LARGER);
        for (const [name, parameter] of model.namedParameters())
          expectClose(parameter.grad as Tensor, `grad.${name}`, LARGER);
        for (const [name, buffer] of model.namedBuffers()) expectClose(buffer, `after.${name}`);
        const evaluated = noGrad(() => model.forward(stateOf(taps), { ...pass, training: false }));
        expectClose(evaluated, 'evaluated');
        model.free();
      });
    });
  });
});
