/**
 * A mask as lengths of runs, as in COCO: column by column, alternately of zeros and ones, starting with zeros. The lengths add up to
 * height x width. Only the first may be 0.
 */
export interface Rle {
  readonly height: number;
  readonly width: number;
  readonly counts: Uint32Array;
}

/**
 * @param mask height x width, row by row; everything but 0 belongs to the mask
 *
 * @example
 * encodeRle(Uint8Array.of(0, 1, 0, 1), 2, 2).counts; // 2, 2
 */
export function encodeRle(mask: ArrayLike<number>, height: number, width: number): Rle {
  const runs = new RunWriter();
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) runs.add(1, mask[y * width + x] !== 0);
  }
  return { height, width, counts: runs.counts() };
}

/**
 * A mask that is empty outside of a region.
 * @param isInside called for each pixel of the region, column by column
 */
export function encodeRegion(
  { height, width }: { readonly height: number; readonly width: number },
  region: { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number },
  isInside: (x: number, y: number) => boolean,
): Rle {
  const { left, top, right, bottom } = region;
  const runs = new RunWriter();
  runs.add(left * height, false);
  for (let x = left; x < right; x++) {
    runs.add(top, false);
    for (let y = top; y < bottom; y++) runs.add(1, isInside(x, y));
    runs.add(height - bottom, false);
  }
  runs.add((width - right) * height, false);
  return { height, width, counts: runs.counts() };
}

/**
 * The mask, height x width, row by row, of zeros and ones.
 *
 * @example
 * decodeRle({ height: 2, width: 2, counts: Uint32Array.of(2, 2) }); // 0, 1, 0, 1
 */
export function decodeRle({ height, width, counts }: Rle): Uint8Array {
  const mask = new Uint8Array(height * width);
  let at = 0;
  for (let run = 0; run < counts.length; run++) {
    const end = at + counts[run];
    if (run % 2 === 1) {
      for (let i = at; i < end; i++) mask[(i % height) * width + Math.floor(i / height)] = 1;
    }
    at = end;
  }
  return mask;
}

/**
 * Number of pixels of the mask.
 *
 * @example
 * rleArea({ height: 2, width: 2, counts: Uint32Array.of(1, 2, 1) }); // 2
 */
export function rleArea({ counts }: Rle): number {
  let area = 0;
  for (let run = 1; run < counts.length; run += 2) area += counts[run];
  return area;
}

/** [x, y, width, height] of the smallest box around the mask, in pixels. [0, 0, 0, 0] if it is empty. */
export function rleBox({ height, counts }: Rle): [number, number, number, number] {
  let [left, top, right, bottom] = [Number.POSITIVE_INFINITY, height, -1, -1];
  let at = 0;
  for (let run = 0; run < counts.length; run++) {
    const end = at + counts[run];
    if (run % 2 === 1 && end > at) {
      const [first, last] = [Math.floor(at / height), Math.floor((end - 1) / height)];
      left = Math.min(left, first);
      right = last;
      top = Math.min(top, first < last ? 0 : at % height);
      bottom = Math.max(bottom, first < last ? height - 1 : (end - 1) % height);
    }
    at = end;
  }
  return right < 0 ? [0, 0, 0, 0] : [left, top, right - left + 1, bottom - top + 1];
}

/**
 * The union of masks of one size.
 *
 * @example
 * const [left, right] = [Uint32Array.of(0, 2, 2), Uint32Array.of(2, 2)];
 * mergeRles([{ height: 2, width: 2, counts: left }, { height: 2, width: 2, counts: right }]).counts; // 0, 4
 */
export function mergeRles(rles: readonly [Rle, ...Rle[]]): Rle {
  return rles.reduce(union);
}

function union(a: Rle, b: Rle): Rle {
  const runs = new RunWriter();
  eachRun(a.counts, b.counts, (length, inA, inB) => runs.add(length, inA || inB));
  return { height: a.height, width: a.width, counts: runs.counts() };
}

/**
 * Intersection over union of two masks of one size; 0 if they do not touch. Over the pixels of `detection` if the truth is a crowd.
 *
 * @example
 * const mask = { height: 2, width: 2, counts: Uint32Array.of(2, 2) };
 * rleIou(mask, mask, false); // 1
 */
export function rleIou(detection: Rle, truth: Rle, isCrowd: boolean): number {
  let [both, either] = [0, 0];
  eachRun(detection.counts, truth.counts, (length, inDetection, inTruth) => {
    if (inDetection || inTruth) either += length;
    if (inDetection && inTruth) both += length;
  });
  if (both === 0) return 0;
  return both / (isCrowd ? rleArea(detection) : either);
}

/** Calls `visit` for each stretch of pixels in which neither mask changes. */
function eachRun(
  a: Uint32Array,
  b: Uint32Array,
  visit: (length: number, inA: boolean, inB: boolean) => void,
): void {
  let [runA, runB] = [0, 0];
  let [leftA, leftB] = [a[0] ?? 0, b[0] ?? 0];
  while (true) {
    while (leftA === 0 && runA + 1 < a.length) leftA = a[++runA];
    while (leftB === 0 && runB + 1 < b.length) leftB = b[++runB];
    const length = Math.min(leftA, leftB);
    if (length === 0) return;
    visit(length, runA % 2 === 1, runB % 2 === 1);
    leftA -= length;
    leftB -= length;
  }
}

/** Joins neighbouring runs of one value. */
class RunWriter {
  readonly #counts: number[] = [0];

  add(length: number, value: boolean): void {
    if (length === 0) return;
    const last = this.#counts.length - 1;
    if ((last % 2 === 1) === value) this.#counts[last] += length;
    else this.#counts.push(length);
  }

  counts(): Uint32Array {
    return Uint32Array.from(this.#counts);
  }
}
