import { InputError } from '../../base/errors.js';
import { SameConv } from '../../nn/convolutional.js';
import type { InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { add, slice } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';
import { upsampleNearest } from './operators.js';

/**
 * A feature pyramid (Lin et al. 2017): maps of decreasing size, each half the one before, become maps of `channels` channels, and one
 * more of half the size of the last: every second place of it. Convolutions have biases and no norm.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const pyramid = new Fpn([8, 16], 4, context);
 * pyramid.forward([zeros([1, 8, 4, 4]), zeros([1, 16, 2, 2])]).map(({ shape }) => shape); // [1, 4, 4, 4], [1, 4, 2, 2], [1, 4, 1, 1]
 */
export class Fpn extends Module {
  readonly lateral: readonly SameConv[];
  readonly output: readonly SameConv[];

  constructor(inputs: readonly number[], channels: number, context: InitContext) {
    super();
    this.lateral = inputs.map((each) => new SameConv(each, channels, { kernel: 1, init: 'xavier' }, context));
    this.output = inputs.map(() => new SameConv(channels, channels, { kernel: 3, init: 'xavier' }, context));
  }

  /**
   * @param maps [B, inputs[i], H_i, W_i], largest first
   * @returns one map more
   * @throws InputError if the number of maps is another one
   */
  forward(maps: readonly Tensor[]): Tensor[] {
    if (maps.length !== this.lateral.length) {
      throw new InputError(`the pyramid takes ${this.lateral.length} maps, not ${maps.length}`);
    }
    const sums: Tensor[] = [];
    for (const i of [...maps.keys()].reverse()) {
      const summed = () => {
        const own = this.lateral[i].forward(maps[i]);
        const [, , height, width] = own.shape;
        return sums.length === 0 ? own : add(own, upsampleNearest(sums[0], [height, width]));
      };
      sums.unshift(scope(summed));
    }
    const outputs = sums.map((each, i) => this.output[i].forward(each));
    const last = outputs[outputs.length - 1];
    return [...outputs, slice(slice(last, 2, 0, undefined, 2), 3, 0, undefined, 2)];
  }
}
