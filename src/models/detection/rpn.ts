import { SameConv } from '../../nn/convolutional.js';
import type { InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { concat, permute, reshape } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';

/** What the region proposal network says of every anchor. */
export interface RpnOutput {
  /** Logits of whether the anchor is at an object, [B, N]. */
  readonly objectness: Tensor;
  /** Offsets from the anchor to the object, [B, N, 4]. */
  readonly offsets: Tensor;
}

/**
 * The region proposal network (Ren et al. 2015), shared by all maps: a 3x3 convolution, ReLU, and 1x1 convolutions for objectness and
 * offsets. Weights N(0, 0.01^2).
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const [{ objectness }] = new RpnHead({ channels: 8, ratios: 3 }, context).forward([zeros([1, 8, 2, 2])]);
 * objectness.shape; // [1, 12]
 */
export class RpnHead extends Module {
  readonly conv: SameConv;
  readonly objectness: SameConv;
  readonly offsets: SameConv;

  /** @param sizes `ratios`: number of anchors at each place */
  constructor(sizes: { readonly channels: number; readonly ratios: number }, context: InitContext) {
    super();
    const { channels, ratios } = sizes;
    const init = { deviation: 0.01 };
    this.conv = new SameConv(channels, channels, { kernel: 3, init }, context);
    this.objectness = new SameConv(channels, ratios, { kernel: 1, init }, context);
    this.offsets = new SameConv(channels, 4 * ratios, { kernel: 1, init }, context);
  }

  /** Of each map [B, C, H, W]: of N = H W ratios anchors, in the order of `makeAnchors`. */
  forward(maps: readonly Tensor[]): RpnOutput[] {
    return maps.map((map) => {
      const hidden = this.conv.activated(map);
      const [objectness, offsets] = [this.objectness, this.offsets].map((layer) =>
        permute(layer.forward(hidden), [0, 2, 3, 1]),
      );
      const batch = map.shape[0];
      return {
        objectness: reshape(objectness, [batch, -1]),
        offsets: reshape(offsets, [batch, -1, 4]),
      };
    });
  }
}

/** The outputs for all maps as one. */
export function joinOutputs(outputs: readonly RpnOutput[]): RpnOutput {
  return {
    objectness: concat(
      outputs.map(({ objectness }) => objectness),
      1,
    ),
    offsets: concat(
      outputs.map(({ offsets }) => offsets),
      1,
    ),
  };
}
