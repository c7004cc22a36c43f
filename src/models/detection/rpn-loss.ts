import type { RandomKey } from '../../base/random.js';
import { concat, divide, reshape, sub, sum } from '../../torch/ops.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import { encodeBoxes } from './boxes.js';
import { matchBoxes } from './match-boxes.js';
import { absolute, indexSelect, lossOfLogits } from './operators.js';
import type { RpnOutput } from './rpn.js';
import { sampleBoxes } from './sample-boxes.js';

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
