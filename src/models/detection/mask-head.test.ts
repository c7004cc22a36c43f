import { expect, test } from 'vitest';
import { ones } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { liveHandles, scope } from '../../torch/scope.js';
import { Fpn } from './fpn.js';
import { MaskHead } from './mask-head.js';

const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;

/** The number of tensors that are held after `forward` because of it. */
function held(forward: () => unknown): number {
  return scope(() => {
    const before = liveHandles();
    forward();
    return liveHandles() - before;
  });
}

test('the inputs of ReLU are freed at once: they are the largest tensors of a detector', () => {
  const head = new MaskHead({ channels: 2, classes: 3 }, context);
  const regions = ones([1, 2, 14, 14]);
  // The outputs of four convolutions and of the transposed one after ReLU, and the masks.
  expect(held(() => head.forward(regions))).toBe(6);
});

test('a pyramid holds its sums and its outputs, not the parts of a sum', () => {
  const pyramid = new Fpn([2, 2], 2, context);
  const maps = [ones([1, 2, 4, 4]), ones([1, 2, 2, 2])];
  // Two sums, two outputs, and the last one with every second row and then column.
  expect(held(() => pyramid.forward(maps))).toBe(6);
});
