/** Anchors of one map of features. */
export interface AnchorOptions {
  /** Rows of the map. */
  readonly height: number;
  /** Columns of the map. */
  readonly width: number;
  /** Pixels of the image between two places of the map. */
  readonly stride: number;
  /** Side of a square anchor, in pixels. */
  readonly size: number;
  /** Height / width of the anchors; all have the area size^2. Default 0.5, 1, 2. */
  readonly ratios?: readonly number[];
}

/**
 * The anchors of one map (Ren et al. 2015), as in detectron2: not rounded, around (x stride, y stride), row by row, all ratios of a
 * place together: left, top, right, bottom of each.
 *
 * @example
 * makeAnchors({ height: 1, width: 1, stride: 4, size: 32, ratios: [1] }); // -16, -16, 16, 16
 */
export function makeAnchors(options: AnchorOptions): Float32Array {
  const { height, width, stride, size, ratios = [0.5, 1, 2] } = options;
  const shapes = ratios.map((ratio) => {
    const anchorWidth = Math.sqrt(size ** 2 / ratio);
    const [right, bottom] = [anchorWidth / 2, (ratio * anchorWidth) / 2].map(Math.fround);
    return [-right, -bottom, right, bottom];
  });
  const anchors = new Float32Array(height * width * shapes.length * 4);
  let next = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const shape of shapes) {
        for (let side = 0; side < 4; side++)
          anchors[next++] = shape[side] + (side % 2 === 0 ? x : y) * stride;
      }
    }
  }
  return anchors;
}
