import type { RandomKey } from '../../base/random.js';
import { scope } from '../../torch/scope.js';
import { fromArray, upload } from '../../torch/tensor.js';
import { matchBoxes } from './match-boxes.js';
import { sampleBoxes } from './sample-boxes.js';

/** Regions of one image that the heads are trained on, the positive ones first. */
export interface SampledRegions {
  /** N x 4: left, top, right, bottom. */
  readonly boxes: Float32Array;
  /** Number of positive ones. */
  readonly positives: number;
  /** Of each positive region, the truth that it stands for. */
  readonly truths: Int32Array;
}

export interface RegionSampleOptions {
  /** Regions of each image, of which at most a quarter are positive. Default 512. */
  readonly samples?: number;
  readonly key: RandomKey;
  readonly device: string;
}

const POSITIVE_SHARE = 0.25;
const POSITIVE_FROM = 0.5;

/**
 * Draws the regions of one image that the heads are trained on, from its proposals and its truths.
 * @param proposals N x 4
 * @param truths M x 4
 */
export function sampleRegions(
  proposals: Float32Array,
  truths: Float32Array,
  { samples = 512, key, device }: RegionSampleOptions,
): SampledRegions {
  const all = new Float32Array(proposals.length + truths.length);
  all.set(proposals);
  all.set(truths, proposals.length);
  const matches = scope(() => {
    const [boxes, real] = [all, truths].map((each) => upload(fromArray(each, [each.length / 4, 4]), device));
    return matchBoxes(boxes, real, { positive: POSITIVE_FROM });
  });
  const { positive, negative } = sampleBoxes(matches.labels, {
    count: samples,
    positiveShare: POSITIVE_SHARE,
    key,
  });
  const order = [...positive, ...negative];
  return {
    boxes: Float32Array.from(order.flatMap((i) => [...all.subarray(4 * i, 4 * i + 4)])),
    positives: positive.length,
    truths: positive.map((i) => matches.truths[i]),
  };
}

/** The side of a region that is read from map 2, in strides of map 0: 224 pixels for a stride of 4. */
const [CANONICAL_STRIDES, CANONICAL_MAP] = [56, 2];

/**
 * From which map of the pyramid each region is read (Lin et al. 2017, equation 1).
 * @param boxes N x 4
 * @param stride of map 0, in pixels
 */
export function mapsOf(boxes: Float32Array, maps: number, stride: number): Int32Array {
  const canonical = CANONICAL_STRIDES * stride;
  return Int32Array.from({ length: boxes.length / 4 }, (_, i) => {
    const [left, top, right, bottom] = boxes.subarray(4 * i, 4 * i + 4);
    const side = Math.sqrt((right - left) * (bottom - top));
    const map = Math.floor(CANONICAL_MAP + Math.log2(side / canonical + Number.EPSILON));
    return Math.min(Math.max(map, 0), maps - 1);
  });
}
