import type { Box, Image } from './dataset.js';

/**
 * Bicubic, antialiased resize of the part `box` of an image, byte for byte what Pillow's
 * `image.crop(box).resize((width, height), BICUBIC)` gives: the published accuracies were measured
 * with it, and other resamplers move them by up to a point.
 *
 * As in Pillow's Resample.c: two separable passes, horizontal first, rounded to 8 bits in between;
 * weights in fixed point with 22 fractional bits; when shrinking, the kernel widens by the scale.
 */
export function resizeBicubic(image: Image, width: number, height: number, box: Box = wholeOf(image)): Image {
  return resizeRows(resizeColumns(image, width, box), height, box);
}

export function wholeOf({ width, height }: Image): Box {
  return { left: 0, top: 0, width, height };
}

/** Horizontal pass: only the rows of the box, at the new width. */
function resizeColumns({ data, width: stride, channels }: Image, width: number, box: Box): Image {
  const { size, starts, counts, weights } = resampling(box.width, width);
  const out = new Uint8Array(box.height * width * channels);
  // Where the green and the blue of a pixel are; in a grey image, nowhere else.
  const [green, blue] = channels === 3 ? [1, 2] : [0, 0];
  for (let y = 0, to = 0; y < box.height; y++) {
    const row = ((box.top + y) * stride + box.left) * channels;
    for (let x = 0; x < width; x++, to += channels) {
      const first = x * size;
      const last = first + counts[x];
      let r = HALF;
      let g = HALF;
      let b = HALF;
      for (let k = first, from = row + starts[x] * channels; k < last; k++, from += channels) {
        const weight = weights[k];
        r = (r + Math.imul(data[from], weight)) | 0;
        g = (g + Math.imul(data[from + green], weight)) | 0;
        b = (b + Math.imul(data[from + blue], weight)) | 0;
      }
      out[to] = clip8(r);
      out[to + green] = clip8(g);
      out[to + blue] = clip8(b);
    }
  }
  return { width, height: box.height, channels, data: out };
}

/** Vertical pass over an image that holds the rows of the box. */
function resizeRows({ data, width, channels }: Image, height: number, box: Box): Image {
  const { size, starts, counts, weights } = resampling(box.height, height);
  const row = width * channels;
  const out = new Uint8Array(height * row);
  const sums = new Int32Array(row);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < counts[y]; k++) {
      const weight = weights[y * size + k];
      const from = (starts[y] + k) * row;
      for (let x = 0; x < row; x++) sums[x] = (sums[x] + Math.imul(data[from + x], weight)) | 0;
    }
    for (let x = 0; x < row; x++) out[y * row + x] = clip8(sums[x]);
  }
  return { width, height, channels, data: out };
}

const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

function clip8(sum: number): number {
  return Math.min(Math.max(sum >> PRECISION, 0), 255);
}

/**
 * For each of `to` output pixels, the input pixels it is made of and their weights:
 * `counts[i]` pixels from `starts[i]`, weights at `i * size`.
 */
function resampling(from: number, to: number) {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  const size = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(to);
  const counts = new Int32Array(to);
  const weights = new Int32Array(to * size);
  const exact = new Float64Array(size);
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const count = Math.min(Math.trunc(centre + support + 0.5), from) - start;
    let total = 0;
    for (let k = 0; k < count; k++) {
      exact[k] = cubic((k + start - centre + 0.5) * (1 / stretch));
      total += exact[k];
    }
    for (let k = 0; k < count; k++) {
      const fixed = (exact[k] / total) * (1 << PRECISION);
      weights[i * size + k] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    starts[i] = start;
    counts[i] = count;
  }
  return { size, starts, counts, weights };
}

/** Keys' cubic convolution kernel with a = -0.5. */
function cubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}
