import { randomStream } from '../../src/base/random.js';
import { compressRle, polygonsRle } from '../../src/tasks/detection/index.js';

const [WIDTH, HEIGHT, CLASSES] = [640, 480, 80];

type Draw = (low: number, high: number) => number;

/** A star with 24 points, as long as COCO's polygons, and its box. */
function star(draw: Draw) {
  const radius = draw(4, 90);
  const [x, y] = [draw(0, WIDTH), draw(0, HEIGHT)];
  const points = Array.from({ length: 24 }, (_, i) => {
    const [angle, length] = [(i * Math.PI) / 12, radius * draw(0.6, 1)];
    return [
      Math.min(Math.max(x + length * Math.cos(angle), 0), WIDTH),
      Math.min(Math.max(y + length * Math.sin(angle), 0), HEIGHT),
    ] as const;
  });
  return points;
}

function boxOf(points: readonly (readonly [number, number])[]): number[] {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return [left, top, Math.max(...xs) - left, Math.max(...ys) - top];
}

/**
 * Random images with as many objects and classes as COCO's validation set, 7 an image, and detections: each object moved a little,
 * and others. As COCO's JSON files.
 */
export function scenes(images: number, detections: number): { truths: object; results: object[] } {
  const stream = randomStream(['coco bench']);
  const draw: Draw = (low, high) => low + (high - low) * stream.uniform();
  const annotations: object[] = [];
  const results: object[] = [];
  const detect = (image_id: number, category_id: number, points: readonly (readonly [number, number])[]) => {
    const segmentation = compressRle(polygonsRle([points.flat()], HEIGHT, WIDTH));
    results.push({ image_id, category_id, bbox: boxOf(points), score: stream.uniform(), segmentation });
  };
  for (let image = 1; image <= images; image++) {
    const objects = Array.from({ length: 7 }, () => ({
      category: stream.integer(1, CLASSES),
      points: star(draw),
    }));
    for (const { category, points } of objects) {
      const bbox = boxOf(points);
      annotations.push({
        id: annotations.length + 1,
        image_id: image,
        category_id: category,
        bbox,
        area: 0.7 * bbox[2] * bbox[3],
        iscrowd: 0,
        segmentation: [points.flat()],
      });
      const moved = points.map(([x, y]) => [x + draw(-2, 2), y + draw(-2, 2)] as const);
      detect(image, category, moved);
    }
    for (let i = objects.length; i < detections; i++) detect(image, stream.integer(1, CLASSES), star(draw));
  }
  const truths = {
    images: Array.from({ length: images }, (_, i) => ({
      id: i + 1,
      width: WIDTH,
      height: HEIGHT,
      file_name: `${i + 1}.jpg`,
    })),
    categories: Array.from({ length: CLASSES }, (_, i) => ({ id: i + 1, name: `class ${i + 1}` })),
    annotations,
  };
  return { truths, results };
}
