import type { RandomKey } from '../../base/random.js';
import { SameConv } from '../../nn/convolutional.js';
import type { InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { concat, divide, permute, reshape, sub, sum } from '../../torch/ops.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import { encodeBoxes } from './boxes.js';
import { matchBoxes } from './match-boxes.js';
import { absolute, indexSelect, lossOfLogits } from './operators.js';
import { sampleBoxes } from './sample-boxes.js';

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

export interface RpnLossOptions {
  /** Anchors that are sampled in each image; at most half are positive. Default 256. */
  readonly samples?: number;
  readonly key: RandomKey;
}

const POSITIVE_SHARE = 0.5;
const MATCH = { positive: 0.7, negative: 0.3, allowLowQuality: true };
const SUM = 2;

/**
 * The losses of the region proposal network (Ren et al. 2015): binary cross-entropy of the sampled anchors, and L1 of the offsets
 * of the positive ones. Both are divided by the number of sampled anchors in the batch.
 *
 * @param output of all anchors
 * @param anchors [N, 4]
 * @param truths [M, 4] of each image
 */
export function rpnLosses(
  output: RpnOutput,
  anchors: Tensor,
  truths: readonly Tensor[],
  { samples = 256, key }: RpnLossOptions,
): { readonly objectness: Tensor; readonly offsets: Tensor } {
  const count = anchors.shape[0];
  const positive: number[] = [];
  const negative: number[] = [];
  const matched: number[] = [];
  let firstTruth = 0;
  for (const [image, each] of truths.entries()) {
    const matches = matchBoxes(anchors, each, MATCH);
    const sampled = sampleBoxes(matches.labels, {
      count: samples,
      positiveShare: POSITIVE_SHARE,
      key: [...key, image],
    });
    for (const anchor of sampled.positive) {
      positive.push(image * count + anchor);
      matched.push(firstTruth + matches.truths[anchor]);
    }
    for (const anchor of sampled.negative) negative.push(image * count + anchor);
    firstTruth += each.shape[0];
  }
  const { device } = anchors;
  const indices = (values: readonly number[]) =>
    upload(fromArray(Int32Array.from(values), [values.length]), device);
  const all = [...positive, ...negative];
  const isPositive = Float32Array.from(all, (_, i) => Number(i < positive.length));
  const logits = indexSelect(reshape(output.objectness, [-1]), 0, indices(all));
  const labels = upload(fromArray(isPositive, [all.length]), device);
  const targets = encodeBoxes(
    indexSelect(concat(truths, 0), 0, indices(matched)),
    indexSelect(anchors, 0, indices(positive.map((i) => i % count))),
  );
  const offsets = indexSelect(reshape(output.offsets, [-1, 4]), 0, indices(positive));
  const sampledCount = Math.max(all.length, 1);
  return {
    objectness: divide(lossOfLogits(logits, labels, null, null, SUM), sampledCount),
    offsets: divide(sum(absolute(sub(offsets, targets))), sampledCount),
  };
}
