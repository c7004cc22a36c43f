import { add, concat, divide, log, mul, reshape, slice, sub } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import { clamp, exp, maximum, minimum } from './operators.js';

// Boxes are [..., 4]: left, top, right, bottom, in pixels.

/** Factors of the offsets dx, dy, dw and dh between two boxes. */
export type BoxWeights = readonly [x: number, y: number, width: number, height: number];

/** Largest dw and dh, so that exp does not overflow. */
const MOST_GROWTH = Math.log(1000 / 16);

/**
 * The offsets that turn the boxes of `from` into those of `to` (Girshick et al. 2014, appendix C): [N, 4], [N, 4] -> [N, 4].
 *
 * @example
 * const box = fromArray(Float32Array.of(0, 0, 8, 8), [1, 4]);
 * encodeBoxes(box, box).toFloat32Array(); // 0, 0, 0, 0
 */
export function encodeBoxes(to: Tensor, from: Tensor, weights: BoxWeights = [1, 1, 1, 1]): Tensor {
  const [target, source] = [centred(to), centred(from)];
  const [wx, wy, ww, wh] = weights;
  return concat(
    [
      divide(mul(sub(target.x, source.x), wx), source.width),
      divide(mul(sub(target.y, source.y), wy), source.height),
      mul(log(divide(target.width, source.width)), ww),
      mul(log(divide(target.height, source.height)), wh),
    ],
    1,
  );
}

/**
 * Moves boxes by offsets, the inverse of `encodeBoxes`: offsets [N, 4 K] and boxes [N, 4] -> [N, 4 K]. Width and height grow at
 * most by the factor 1000 / 16.
 *
 * @example
 * const box = fromArray(Float32Array.of(0, 0, 8, 8), [1, 4]);
 * decodeBoxes(zeros([1, 4]), box).toFloat32Array(); // 0, 0, 8, 8
 */
export function decodeBoxes(offsets: Tensor, from: Tensor, weights: BoxWeights = [1, 1, 1, 1]): Tensor {
  const [count, size] = offsets.shape;
  const source = centred(reshape(from, [count, 1, 4]));
  const [dx, dy, dw, dh] = parts(reshape(offsets, [count, size / 4, 4])).map((part, i) =>
    divide(part, weights[i]),
  );
  const x = add(mul(dx, source.width), source.x);
  const y = add(mul(dy, source.height), source.y);
  const halfWidth = mul(mul(exp(clamp(dw, null, MOST_GROWTH)), source.width), 0.5);
  const halfHeight = mul(mul(exp(clamp(dh, null, MOST_GROWTH)), source.height), 0.5);
  const sides = [sub(x, halfWidth), sub(y, halfHeight), add(x, halfWidth), add(y, halfHeight)];
  return reshape(concat(sides, 2), [count, size]);
}

/** Cuts boxes [N, 4] off at the sides of an image. */
export function clipBoxes(boxes: Tensor, image: { readonly width: number; readonly height: number }): Tensor {
  const [left, top, right, bottom] = parts(boxes);
  const [x, y] = [
    (part: Tensor) => clamp(part, 0, image.width),
    (part: Tensor) => clamp(part, 0, image.height),
  ];
  return concat([x(left), y(top), x(right), y(bottom)], 1);
}

/**
 * Intersection over union of every box of `a` with every box of `b`: [N, 4], [M, 4] -> [N, M].
 *
 * @example
 * const boxes = fromArray(Float32Array.of(0, 0, 4, 4, 0, 0, 4, 2), [2, 4]);
 * boxIou(boxes, boxes).toFloat32Array(); // 1, 0.5, 0.5, 1
 */
export function boxIou(a: Tensor, b: Tensor): Tensor {
  const [left, top, right, bottom] = parts(a);
  const across = parts(b).map((part) => reshape(part, [1, -1]));
  const width = clamp(sub(minimum(right, across[2]), maximum(left, across[0])), 0);
  const height = clamp(sub(minimum(bottom, across[3]), maximum(top, across[1])), 0);
  const overlap = mul(width, height);
  return divide(overlap, sub(add(boxArea(a), reshape(boxArea(b), [1, -1])), overlap));
}

/** [N, 4] -> [N, 1]. */
function boxArea(boxes: Tensor): Tensor {
  const [left, top, right, bottom] = parts(boxes);
  return mul(sub(right, left), sub(bottom, top));
}

/** The four columns [..., 1]. */
function parts(boxes: Tensor): Tensor[] {
  return [0, 1, 2, 3].map((i) => slice(boxes, -1, i, i + 1));
}

/** Centre and sides, [..., 1] each. */
function centred(boxes: Tensor) {
  const [left, top, right, bottom] = parts(boxes);
  const [width, height] = [sub(right, left), sub(bottom, top)];
  return { x: add(left, mul(width, 0.5)), y: add(top, mul(height, 0.5)), width, height };
}
