import { decodeRle } from '../../data/coco/rle.js';
import { segmentationRle } from '../../data/coco/segmentation.js';
import type { Batch } from '../../data/dataset.js';
import type { AnnotatedObject } from '../../data/objects.js';
import type { ImageFindings } from '../../training/task.js';
import type { Picture } from './map-picture.js';
import { blend, type Panel, panelOf, panelsPng, rgbOf } from './panels.js';

/** Share of a class's colour in a pixel of a mask. */
const OPACITY = 0.45;
/** Objects with a lower score are not drawn. */
const LEAST_SCORE = 0.5;

type DrawnObject = Pick<AnnotatedObject, 'label' | 'box' | 'segmentation'>;

/** Draws boxes and masks of an image: those of its annotations, and those that were found with a score of at least 0.5. */
export async function drawObjects(batch: Batch, { image, found }: ImageFindings): Promise<Picture> {
  const { extents, height, width } = batch;
  const base = panelOf(
    { ...batch, data: batch.images },
    { height: extents?.[0] ?? height, width: extents?.[1] ?? width },
  );
  const likely = found.filter(({ score }) => score >= LEAST_SCORE);
  const png = await panelsPng([
    base,
    ...[image.objects, likely].map((objects) => drawn(base, objects, image)),
  ]);
  return { png, width: base.width, height: base.height, classes: classesOf([...image.objects, ...likely]) };
}

function drawn(base: Panel, objects: readonly DrawnObject[], image: ImageFindings['image']): Panel {
  const panel = { ...base, pixels: Uint8Array.from(base.pixels) };
  // The best object is on top.
  for (const { label, box, segmentation } of objects.toReversed()) {
    const colour = rgbOf(label);
    const mask = decodeRle(segmentationRle(segmentation, image));
    for (let y = 0; y < panel.height; y++) {
      const row = Math.floor((y * image.height) / panel.height);
      for (let x = 0; x < panel.width; x++) {
        const column = Math.floor((x * image.width) / panel.width);
        if (mask[row * image.width + column]) blend(panel, y * panel.width + x, colour, OPACITY);
      }
    }
    outline(panel, box, image, colour);
  }
  return panel;
}

/** A box, one pixel wide. */
function outline(
  panel: Panel,
  [left, top, boxWidth, boxHeight]: DrawnObject['box'],
  image: ImageFindings['image'],
  colour: readonly number[],
): void {
  const { width, height } = panel;
  const place = (at: number, from: number, to: number) =>
    Math.min(Math.max(Math.round((at * to) / from), 0), to - 1);
  const [x0, x1] = [left, left + boxWidth].map((x) => place(x, image.width, width));
  const [y0, y1] = [top, top + boxHeight].map((y) => place(y, image.height, height));
  for (let x = x0; x <= x1; x++) for (const y of [y0, y1]) blend(panel, y * width + x, colour, 1);
  for (let y = y0; y <= y1; y++) for (const x of [x0, x1]) blend(panel, y * width + x, colour, 1);
}

function classesOf(objects: readonly DrawnObject[]): number[] {
  const counts = new Map<number, number>();
  for (const { label } of objects) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts.keys()].sort((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0) || a - b);
}
