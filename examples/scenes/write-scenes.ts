import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as di from 'deep-incubation';
import { compressRle, encodeRle, rleArea } from 'deep-incubation/detection';
import sharp from 'sharp';

/** Side of a scene and of an item, in pixels. */
const [SIDE, ITEM] = [56, 28];
/** An item's pixels are those that are brighter than this. The background is darker. */
const DARK = 30;
/** Largest distance that an item is moved from its corner of the scene. */
const SHIFT = 7;

export interface ScenesOptions {
  /** Number of scenes. */
  readonly train: number;
  readonly val: number;
  readonly seed: number;
  /** Fashion-MNIST: its training images are used for training scenes, its test images for validation scenes. */
  readonly items: di.DatasetPair;
}

interface WrittenScenes {
  /** Number of validation pixels of each class: the background, then the kinds of items. */
  readonly pixels: readonly number[];
}

/** An item in a scene, and its pixels that no other item covers: SIDE x SIDE of 0 and 1. */
interface Item {
  readonly label: number;
  readonly mask: Uint8Array;
}

/** Grey pixels, and the label of each pixel: 0 is the background, k is class k - 1 of the items. */
interface Scene {
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
  readonly items: readonly Item[];
}

/**
 * Writes scenes of 56 x 56 pixels with two to four items of Fashion-MNIST, in ADE20K's layout (`ROOT/ade20k`, with the background as
 * class 0) and in COCO's (`ROOT/coco`, masks as run lengths). A scene depends only on the seed, its part and its number.
 *
 * @example
 * const items = openDataset({ format: 'fashion-mnist' });
 * await writeScenes('scenes', { train: 200, val: 200, seed: 0, items });
 */
export async function writeScenes(
  root: string,
  { train, val, seed, items }: ScenesOptions,
): Promise<WrittenScenes> {
  const names = items.train.classes;
  const counted = new Array<number>(names.length + 1).fill(0);
  const [ade20k, coco] = [join(root, 'ade20k'), join(root, 'coco')];
  mkdirSync(ade20k, { recursive: true });
  mkdirSync(join(coco, 'annotations'), { recursive: true });
  writeFileSync(join(ade20k, 'objectInfo150.txt'), objectInfo(['background', ...names]));
  for (const [part, adePart, count] of [
    ['train', 'training', train],
    ['val', 'validation', val],
  ] as const) {
    const folders = {
      images: join(ade20k, 'images', adePart),
      maps: join(ade20k, 'annotations', adePart),
      coco: join(coco, `${part}2017`),
    };
    for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
    const images: object[] = [];
    const annotations: object[] = [];
    for (let i = 0; i < count; i++) {
      const scene = makeScene(items[part], di.randomStream([seed, 'scenes', part, i]));
      if (part === 'val') for (const label of scene.labels) counted[label]++;
      const name = String(i + 1).padStart(6, '0');
      const image = join(folders.images, `${name}.jpg`);
      await grey(scene.pixels).jpeg({ quality: 100 }).toFile(image);
      await grey(scene.labels.map((label) => label + 1))
        .png()
        .toFile(join(folders.maps, `${name}.png`));
      copyFileSync(image, join(folders.coco, `${name}.jpg`));
      images.push({ id: i + 1, width: SIDE, height: SIDE, file_name: `${name}.jpg` });
      for (const item of scene.items)
        annotations.push({ id: annotations.length + 1, image_id: i + 1, ...objectOf(item) });
    }
    const categories = names.map((name, label) => ({ id: label + 1, name }));
    writeFileSync(
      join(coco, 'annotations', `instances_${part}2017.json`),
      JSON.stringify({ images, categories, annotations }),
    );
  }
  return { pixels: counted };
}

/** Draws a scene: background noise of 0 to 29, and items in two to four of its corners, moved by up to 7 pixels. */
function makeScene(items: di.Dataset, random: di.RandomStream): Scene {
  const pixels = Uint8Array.from({ length: SIDE * SIDE }, () => random.integer(0, DARK - 1));
  const owner = new Uint8Array(SIDE * SIDE);
  const corners = shuffled([0, 1, 2, 3], random).slice(0, random.integer(2, 4));
  const chosen = corners.map((corner, i) => {
    const index = random.integer(0, items.length - 1);
    const top = ITEM * Math.floor(corner / 2) + random.integer(-SHIFT, SHIFT);
    const left = ITEM * (corner % 2) + random.integer(-SHIFT, SHIFT);
    const source = items.source(index);
    if (!('data' in source)) throw new Error('the items must be in memory');
    paste(source.data, { top, left }, (at, value) => {
      pixels[at] = value;
      owner[at] = i + 1;
    });
    return items.label(index);
  });
  const found = chosen.map((label, i) => ({ label, mask: owner.map((each) => Number(each === i + 1)) }));
  const labels = owner.map((each) => (each === 0 ? 0 : chosen[each - 1] + 1));
  return { pixels, labels, items: found.filter(({ mask }) => mask.includes(1)) };
}

/** Calls `set` for each pixel of an item that is inside the scene. */
function paste(
  item: Uint8Array,
  { top, left }: { readonly top: number; readonly left: number },
  set: (at: number, value: number) => void,
): void {
  for (const [at, value] of item.entries()) {
    const [y, x] = [top + Math.floor(at / ITEM), left + (at % ITEM)];
    const isInside = y >= 0 && y < SIDE && x >= 0 && x < SIDE;
    if (isInside && value > DARK) set(y * SIDE + x, value);
  }
}

function shuffled<T>(values: readonly T[], random: di.RandomStream): T[] {
  const left = [...values];
  return values.map(() => left.splice(random.integer(0, left.length - 1), 1)[0]);
}

/** The fields of an annotation of COCO. */
function objectOf({ label, mask }: Item) {
  const rle = encodeRle(mask, SIDE, SIDE);
  const inside = [...mask.keys()].filter((at) => mask[at] === 1);
  const columns = inside.map((at) => at % SIDE);
  const [left, right] = [Math.min(...columns), Math.max(...columns)];
  const [top, bottom] = [inside[0], inside[inside.length - 1]].map((at) => Math.floor(at / SIDE));
  return {
    category_id: label + 1,
    bbox: [left, top, right - left + 1, bottom - top + 1],
    area: rleArea(rle),
    iscrowd: 0,
    segmentation: compressRle(rle),
  };
}

/** ADE20K's list of classes. */
function objectInfo(names: readonly string[]): string {
  const rows = names.map((name, i) => [i + 1, 0, 0, 0, 0, name].join('\t'));
  return `${['Idx\tRatio\tTrain\tVal\tStuff\tName', ...rows].join('\n')}\n`;
}

function grey(pixels: Uint8Array) {
  return sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 1 } }).toColourspace('b-w');
}
