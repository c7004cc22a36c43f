import { InputError } from '../../base/errors.js';
import { concat, permute, reshape, to } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import { embeddingBag } from './operators.js';
import { axisWeights } from './roi-weights.js';

/** Regions of the images of a batch. */
export interface Regions {
  /** N x 4: left, top, right, bottom, in pixels. */
  readonly boxes: Float32Array;
  /** N: the image of each box, by its index in the batch. */
  readonly images: ArrayLike<number>;
}

/** A map of features of a batch. */
export interface FeatureMap {
  /** [B, C, H, W]. */
  readonly features: Tensor;
  /** Pixels of the image between two places of the map. */
  readonly stride: number;
}

/**
 * RoIAlign (He et al. 2017) as in detectron2 (`aligned`, as many samples as the bin has places): each region becomes `size` x `size`
 * bilinear averages. Differentiable by the features. Equal to torchvision's to float32's rounding.
 *
 * Its weights are computed on the host; the averages are one `embedding_bag`. bfloat16 features are averaged in float32.
 *
 * @returns [N, C, size, size]
 * @throws InputError if a region belongs to no image of the batch
 *
 * @example
 * const regions = { boxes: Float32Array.of(0, 0, 8, 8), images: [0] };
 * roiAlign({ features: ones([1, 16, 4, 4]), stride: 4 }, regions, 7).shape; // [1, 16, 7, 7]
 */
export function roiAlign(map: FeatureMap, regions: Regions, size: number): Tensor {
  return pyramidRoiAlign([map], regions, size, new Uint8Array(regions.images.length));
}

/**
 * `roiAlign` from several maps of the same batch.
 * @param levels N: the map of each region, by its index
 */
export function pyramidRoiAlign(
  maps: readonly FeatureMap[],
  regions: Regions,
  size: number,
  levels: ArrayLike<number>,
): Tensor {
  const [{ features }] = maps;
  const [batch, channels] = features.shape;
  for (let i = 0; i < regions.images.length; i++) {
    if (regions.images[i] >= 0 && regions.images[i] < batch) continue;
    throw new InputError(`region ${i} is in image ${regions.images[i]} of a batch of ${batch}`);
  }
  return scope(() => {
    const { rows, weights, offsets } = bagsOf(maps, regions, size, levels);
    const table = concat(
      maps.map((each) => asRows(each.features)),
      0,
    );
    const put = (array: Int32Array | Float32Array) =>
      upload(fromArray(array, [array.length]), features.device);
    const typed = table.dtype === 'F64' ? to(put(weights), { dtype: 'F64' }) : put(weights);
    const [averages] = embeddingBag(table, put(rows), put(offsets), false, 0, false, typed);
    return permute(reshape(averages, [-1, size, size, channels]), [0, 3, 1, 2]);
  });
}

/** [B, C, H, W] -> [B H W, C], in float32 or float64. */
function asRows(features: Tensor): Tensor {
  const rows = reshape(permute(features, [0, 2, 3, 1]), [-1, features.shape[1]]);
  return rows.dtype === 'F64' || rows.dtype === 'F32' ? rows : to(rows, { dtype: 'F32' });
}

interface Bags {
  /** Rows of the table that the bags add up, with their weights. */
  readonly rows: Int32Array;
  readonly weights: Float32Array;
  /** Where each bag starts; one bag for each of N x size x size averages. */
  readonly offsets: Int32Array;
}

function bagsOf(
  maps: readonly FeatureMap[],
  { boxes, images }: Regions,
  size: number,
  levels: ArrayLike<number>,
): Bags {
  const places = new PlaceList();
  const offsets = new Int32Array(images.length * size * size);
  const firstRows = maps.map((_, i) => maps.slice(0, i).reduce((sum, each) => sum + rowCount(each), 0));
  let bag = 0;
  for (let region = 0; region < images.length; region++) {
    const { features, stride } = maps[levels[region]];
    const [, , height, width] = features.shape;
    const [left, top, right, bottom] = [0, 1, 2, 3].map((side) =>
      Math.fround(Math.fround(boxes[4 * region + side] * Math.fround(1 / stride)) - 0.5),
    );
    const [xs, ys] = [axisWeights(left, right, size, width), axisWeights(top, bottom, size, height)];
    const firstRow = firstRows[levels[region]] + images[region] * height * width;
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        offsets[bag++] = places.length;
        for (let i = 0; i < ys.count[y]; i++) {
          const row = firstRow + (ys.first[y] + i) * width + xs.first[x];
          const weight = ys.weights[y * ys.most + i];
          for (let j = 0; j < xs.count[x]; j++) places.add(row + j, weight * xs.weights[x * xs.most + j]);
        }
      }
    }
  }
  const { rows, weights } = places.arrays();
  return { rows, weights, offsets };
}

const rowCount = ({ features: { shape } }: FeatureMap) => shape[0] * shape[2] * shape[3];

/** Grows as needed. */
class PlaceList {
  length = 0;
  #rows = new Int32Array(2 ** 16);
  #weights = new Float32Array(2 ** 16);

  add(row: number, weight: number): void {
    if (this.length === this.#rows.length) {
      const [rows, weights] = [this.#rows, this.#weights];
      this.#rows = new Int32Array(2 * this.length);
      this.#weights = new Float32Array(2 * this.length);
      this.#rows.set(rows);
      this.#weights.set(weights);
    }
    this.#rows[this.length] = row;
    this.#weights[this.length++] = weight;
  }

  arrays(): { rows: Int32Array; weights: Float32Array } {
    return { rows: this.#rows.slice(0, this.length), weights: this.#weights.slice(0, this.length) };
  }
}
