/**
 * Greedy non-maximum suppression: drops boxes whose IoU with a better one that is kept is above `threshold`. Equal to torchvision's,
 * in float32, also for equal scores.
 *
 * @param boxes N x 4: left, top, right, bottom
 * @param scores N
 * @param classes boxes of different classes do not suppress each other. Default: all are of one class
 * @returns the indices of the boxes that are kept, highest score first
 *
 * @example
 * const boxes = Float32Array.of(0, 0, 4, 4, 0, 0, 4, 3, 5, 5, 9, 9);
 * nms(boxes, Float32Array.of(0.5, 0.9, 0.7), 0.5); // 1, 2
 */
export function nms(
  boxes: Float32Array,
  scores: Float32Array,
  threshold: number,
  classes?: ArrayLike<number>,
): Int32Array {
  const order = Int32Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]);
  const groups = new Map<number, number[]>();
  const isKept = new Uint8Array(order.length);
  const areas = areasOf(boxes);
  for (const box of order) {
    const group = groups.get(classes?.[box] ?? 0) ?? [];
    if (group.length === 0) groups.set(classes?.[box] ?? 0, group);
    if (group.some((better) => iou(boxes, areas, better, box) > threshold)) continue;
    group.push(box);
    isKept[box] = 1;
  }
  return order.filter((box) => isKept[box]);
}

const { fround } = Math;

function areasOf(boxes: Float32Array): Float32Array {
  const width = (at: number) => fround(boxes[at + 2] - boxes[at]);
  return Float32Array.from({ length: boxes.length / 4 }, (_, i) => {
    return width(4 * i) * fround(boxes[4 * i + 3] - boxes[4 * i + 1]);
  });
}

/** Each operation rounds to float32, as in torchvision. */
function iou(boxes: Float32Array, areas: Float32Array, a: number, b: number): number {
  const [i, j] = [4 * a, 4 * b];
  const width = fround(Math.min(boxes[i + 2], boxes[j + 2]) - Math.max(boxes[i], boxes[j]));
  const height = fround(Math.min(boxes[i + 3], boxes[j + 3]) - Math.max(boxes[i + 1], boxes[j + 1]));
  if (!(width > 0 && height > 0)) return 0;
  const overlap = fround(width * height);
  return fround(overlap / fround(fround(areas[a] + areas[b]) - overlap));
}
