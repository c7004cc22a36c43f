import { mergeRles, type Rle } from './rle.js';

/**
 * The pixels of polygons as COCO rasterises them: the union of their insides.
 * @param polygons each as x0, y0, x1, y1, ... in pixels; (0, 0) is the top left corner of the image
 *
 * @example
 * polygonsRle([[0, 0, 2, 0, 2, 1, 0, 1]], 2, 2).counts; // 0, 1, 1, 1, 1
 */
export function polygonsRle(polygons: readonly ArrayLike<number>[], height: number, width: number): Rle {
  const [first, ...rest] = polygons.map((polygon) => polygonRle(polygon, height, width));
  if (first === undefined) return { height, width, counts: Uint32Array.of(height * width) };
  return mergeRles([first, ...rest]);
}

/** The boundary is drawn this many times larger. */
const SCALE = 5;

/** `rleFrPoly` of the COCO API's maskApi.c: where the boundary crosses the middle of a column, a run ends. */
function polygonRle(polygon: ArrayLike<number>, height: number, width: number): Rle {
  const ends: number[] = [];
  let [u, v] = [Number.NaN, 0];
  eachBoundaryPoint(polygon, (x, y) => {
    if (!Number.isNaN(u) && x !== u) {
      const column = ((x < u ? x : x - 1) + 0.5) / SCALE - 0.5;
      if (Number.isInteger(column) && column >= 0 && column <= width - 1) {
        const row = (Math.min(y, v) + 0.5) / SCALE - 0.5;
        ends.push(column * height + Math.ceil(Math.min(Math.max(row, 0), height)));
      }
    }
    [u, v] = [x, y];
  });
  return { height, width, counts: runsBetween(ends, height * width) };
}

/** Visits the points of the enlarged boundary, edge after edge. The ends of an edge are visited twice. */
function eachBoundaryPoint(polygon: ArrayLike<number>, visit: (x: number, y: number) => void): void {
  const corner = (i: number) => Math.trunc(SCALE * polygon[i % polygon.length] + 0.5);
  for (let i = 0; i + 1 < polygon.length; i += 2) {
    const [startX, startY, endX, endY] = [corner(i), corner(i + 1), corner(i + 2), corner(i + 3)];
    const [dx, dy] = [Math.abs(endX - startX), Math.abs(endY - startY)];
    const isFlat = dx >= dy;
    const length = isFlat ? dx : dy;
    // Both directions of an edge give the same points: it is always computed from its left or upper end.
    const isFlipped = isFlat ? startX > endX : startY > endY;
    const [x0, y0, x1, y1] = isFlipped ? [endX, endY, startX, startY] : [startX, startY, endX, endY];
    const slope = length === 0 ? 0 : isFlat ? (y1 - y0) / dx : (x1 - x0) / dy;
    for (let d = 0; d <= length; d++) {
      const t = isFlipped ? length - d : d;
      if (isFlat) visit(t + x0, Math.trunc(y0 + slope * t + 0.5));
      else visit(Math.trunc(x0 + slope * t + 0.5), t + y0);
    }
  }
}

/** Run lengths that end at these pixels and after the last one. Two ends at one pixel cancel out. */
function runsBetween(ends: readonly number[], pixels: number): Uint32Array {
  const sorted = Uint32Array.from([...ends, pixels]).sort();
  const lengths = sorted.map((end, i) => (i === 0 ? end : end - sorted[i - 1]));
  const counts = [lengths[0]];
  for (let i = 1; i < lengths.length; i++) {
    if (lengths[i] > 0) counts.push(lengths[i]);
    else if (++i < lengths.length) counts[counts.length - 1] += lengths[i];
  }
  return Uint32Array.from(counts);
}
