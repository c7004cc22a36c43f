const { fround } = Math;

/** For each bin along one axis, the places of a map that it averages: `count` places from `first` on, with their weights. */
export interface AxisWeights {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** Bins x `most`. */
  readonly weights: Float32Array;
  /** The largest `count`. */
  readonly most: number;
}

/**
 * Bilinear weights of RoIAlign along one axis (He et al. 2017). The side of a box is cut into bins; each averages ceil(side / bins)
 * evenly spaced samples. A sample outside of -1 ... size is 0; otherwise it is moved into the map. In float32, as in torchvision.
 *
 * @param start of the box, in places of the map, half a place less than its side
 * @param end likewise
 * @param size number of places of the map
 */
export function axisWeights(start: number, end: number, bins: number, size: number): AxisWeights {
  const side = fround(end - start);
  const step = fround(side / bins);
  const samples = Math.max(Math.ceil(step), 0);
  const most = samples + 2;
  const axis = {
    first: new Int32Array(bins),
    count: new Int32Array(bins),
    weights: new Float32Array(bins * most),
    most,
  };
  for (let bin = 0; bin < bins; bin++) {
    const from = fround(start + fround(bin * step));
    let last = -1;
    for (let sample = 0; sample < samples; sample++) {
      let at = fround(from + fround(fround((sample + 0.5) * step) / samples));
      if (at < -1 || at > size) continue;
      at = Math.max(at, 0);
      const low = Math.min(Math.trunc(at), size - 1);
      const share = low === size - 1 ? 0 : fround(at - low);
      if (last < 0) axis.first[bin] = low;
      const place = bin * most + low - axis.first[bin];
      axis.weights[place] += (1 - share) / samples;
      last = low;
      if (share === 0) continue;
      axis.weights[place + 1] += share / samples;
      last = low + 1;
    }
    axis.count[bin] = last < 0 ? 0 : last - axis.first[bin] + 1;
  }
  return axis;
}
