import { noGrad } from '../../torch/autograd.js';
import { concat, select, slice } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import { clipBoxes, decodeBoxes } from './boxes.js';
import { nms, nmsOnDevice } from './nms.js';
import { indexSelect, largest } from './operators.js';
import type { RpnOutput } from './rpn.js';

export interface ProposalOptions {
  /** Proposals of each map before suppression: 2000 in training, 1000 in evaluation. */
  readonly perMap: number;
  /** Proposals of each image. Default 1000. */
  readonly perImage?: number | undefined;
}

/** A proposal is dropped if its IoU with a better one of the same map is above this. */
const MOST_OVERLAP = 0.7;

/**
 * The regions that the region proposal network finds in each image: the best of each map, cut off at the sides of the image, without
 * empty and suppressed ones. No gradients.
 *
 * @param outputs of each map
 * @param anchors [N, 4] of each map
 * @param images sides of the images without padding
 * @returns for each image, left, top, right, bottom of each region, best first
 */
export function proposeRegions(
  outputs: readonly RpnOutput[],
  anchors: readonly Tensor[],
  images: readonly { readonly width: number; readonly height: number }[],
  { perMap, perImage = 1000 }: ProposalOptions,
): Float32Array[] {
  const bestOf = (output: RpnOutput, map: number, image: number) => {
    const scores = select(output.objectness, 0, image);
    const [values, indices] = largest(scores, Math.min(perMap, scores.shape[0]));
    const offsets = indexSelect(select(output.offsets, 0, image), 0, indices);
    return { scores: values, boxes: decodeBoxes(offsets, indexSelect(anchors[map], 0, indices)) };
  };
  const proposed = (image: number) => {
    const best = outputs.map((output, map) => bestOf(output, map, image));
    const boxes = clipBoxes(
      concat(
        best.map((each) => each.boxes),
        0,
      ),
      images[image],
    );
    const scores = concat(
      best.map((each) => each.scores),
      0,
    );
    const maps = best.flatMap((each, map) => new Array<number>(each.scores.shape[0]).fill(map));
    return unsuppressed(boxes, scores, maps, perImage);
  };
  return noGrad(() => images.map((_, image) => scope(() => proposed(image))));
}

function unsuppressed(boxes: Tensor, scores: Tensor, maps: readonly number[], most: number): Float32Array {
  const all = boxes.toFloat32Array();
  const kept = Int32Array.from(maps.keys()).filter(
    (i) => all[4 * i + 2] > all[4 * i] && all[4 * i + 3] > all[4 * i + 1],
  );
  const names = kept.map((i) => maps[i]);
  const ofKept = (values: Float32Array, width: number) => picked(values, kept, width);
  if (boxes.device === 'cpu') {
    const own = ofKept(all, 4);
    return picked(own, nms(own, ofKept(scores.toFloat32Array(), 1), MOST_OVERLAP, names).slice(0, most), 4);
  }
  const put = (array: Int32Array) => upload(fromArray(array, [array.length]), boxes.device);
  const [own, ownScores] = [boxes, scores].map((each) => indexSelect(each, 0, put(kept)));
  const best = slice(nmsOnDevice(own, ownScores, MOST_OVERLAP, put(names)), 0, 0, most);
  return indexSelect(own, 0, best).toFloat32Array();
}

/** Rows of a matrix. */
function picked(values: Float32Array, rows: ArrayLike<number>, width: number): Float32Array {
  const out = new Float32Array(rows.length * width);
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < width; j++) out[i * width + j] = values[rows[i] * width + j];
  }
  return out;
}
