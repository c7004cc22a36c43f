import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { randomStream } from '../src/base/random.js';
import { polygonsRle } from '../src/data/coco/polygon.js';
import { decodeRle, rleArea, rleBox } from '../src/data/coco/rle.js';
import { compressRle } from '../src/data/coco/segmentation.js';

/** The categories of the small data set: their ids have gaps, as COCO's. */
export const COCO_CATEGORIES = [
  { id: 7, name: 'triangle' },
  { id: 2, name: 'box' },
  { id: 90, name: 'diamond, blue' },
];

interface Sizes {
  readonly train: number;
  readonly val: number;
}

/** A small data set in COCO's layout: bright shapes of three classes on dark noise, in images of several sizes. */
export async function writeCoco(root: string, { train, val }: Sizes, seed = 0): Promise<void> {
  mkdirSync(join(root, 'annotations'), { recursive: true });
  for (const [part, count, first] of [
    ['train2017', train, 1],
    ['val2017', val, 1001],
  ] as const) {
    mkdirSync(join(root, part), { recursive: true });
    const scenes = await Promise.all(
      Array.from({ length: count }, (_, i) => writeScene(join(root, part), first + i, seed)),
    );
    const content = {
      images: scenes.map(({ image }) => image),
      categories: COCO_CATEGORIES,
      annotations: scenes.flatMap(({ annotations }) => annotations),
    };
    writeFileSync(join(root, 'annotations', `instances_${part}.json`), JSON.stringify(content));
  }
}

const COLOURS = [
  [230, 200, 40],
  [220, 40, 60],
  [60, 90, 240],
];

/** The corners of a shape in a box. */
function cornersOf(shape: number, x: number, y: number, side: number): number[] {
  const [right, bottom, middle] = [x + side, y + side, side / 2];
  if (shape === 0) return [x + middle, y, right, bottom, x, bottom];
  if (shape === 1) return [x, y, right, y, right, bottom, x, bottom];
  return [x + middle, y, right, y + middle, x + middle, bottom, x, y + middle];
}

async function writeScene(folder: string, id: number, seed: number) {
  const random = randomStream([seed, 'scene', id]);
  const [width, height] = [random.integer(48, 64), random.integer(40, 64)];
  const pixels = Uint8Array.from({ length: 3 * width * height }, () => random.integer(0, 40));
  // Two shapes side by side, which do not overlap.
  const annotations = [0, 1].map((half) => {
    const shape = random.integer(0, COLOURS.length - 1);
    const side = random.integer(14, Math.floor(width / 2) - 4);
    const x = random.integer(1, Math.floor(width / 2) - side - 1) + half * Math.floor(width / 2);
    const y = random.integer(1, height - side - 1);
    const polygon = cornersOf(shape, x, y, side);
    const rle = polygonsRle([polygon], height, width);
    const mask = decodeRle(rle);
    for (let at = 0; at < mask.length; at++) if (mask[at]) pixels.set(COLOURS[shape], 3 * at);
    return {
      id: 10 * id + half,
      image_id: id,
      category_id: [7, 2, 90][shape],
      bbox: rleBox(rle),
      area: rleArea(rle),
      iscrowd: 0,
      segmentation: id % 5 === 0 ? compressRle(rle) : [polygon],
    };
  });
  const fileName = `${String(id).padStart(12, '0')}.png`;
  await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(join(folder, fileName));
  return { image: { id, width, height, file_name: fileName }, annotations };
}
