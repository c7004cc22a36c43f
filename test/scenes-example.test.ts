import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DatasetPair, openDataset } from 'deep-incubation';
import { decodeRle, readCocoAnnotations, segmentationRle } from 'deep-incubation/detection';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { runSeed } from '../examples/scenes/experiment.js';
import { drawPredictions } from '../examples/scenes/picture.js';
import { tableOf } from '../examples/scenes/table.js';
import { writeScenes } from '../examples/scenes/write-scenes.js';
import { areaSums, summarizeAreas } from '../src/tasks/segmentation/metrics.js';
import { temporaryFolder } from './cli-support.js';
import { CLASSES, SIDE, writeStripes } from './examples-support.js';

// examples/scenes at the sizes of a test, with stripes instead of Fashion-MNIST.

const folder = temporaryFolder();

/** Stripes whose width is the class; every item has dark pixels, which belong to the background. */
function striped(length: number, names: readonly string[]): DatasetPair['train'] {
  return {
    length,
    classes: names,
    label: (i) => i % CLASSES,
    describe: (i) => `item ${i}`,
    source: (i) => ({
      width: SIDE,
      height: SIDE,
      channels: 1,
      data: Uint8Array.from({ length: SIDE * SIDE }, (_, at) =>
        Math.floor(((at % SIDE) + i) / ((i % CLASSES) + 1)) % 2 === 0 ? 30 : 200,
      ),
    }),
  };
}
const names = Array.from({ length: CLASSES }, (_, label) => `kind ${label}`);
const items = { train: striped(60, names), val: striped(40, names) };

const grey = async (path: string) => new Uint8Array(await sharp(path).toColourspace('b-w').raw().toBuffer());

test('scenes depend only on the seed, and the readers of both layouts agree', async () => {
  const root = join(folder, 'scenes');
  const sizes = { train: 3, val: 6, items };
  const { pixels } = await writeScenes(root, { ...sizes, seed: 0 });
  await writeScenes(join(folder, 'again'), { ...sizes, seed: 0 });
  await writeScenes(join(folder, 'other'), { ...sizes, seed: 1 });
  const { train, val } = openDataset({ format: 'ade20k', path: join(root, 'ade20k') });
  expect([train.length, val.length]).toEqual([3, 6]);
  expect(val.classes).toEqual(['background', ...names]);

  const coco = readCocoAnnotations(join(root, 'coco/annotations/instances_val2017.json'));
  expect(coco.categories.map(({ name }) => name)).toEqual(names);
  const counts = new Array<number>(CLASSES + 1).fill(0);
  for (const { id, width, height, fileName } of coco.images) {
    const file = (part: string, name: string, end: string) =>
      join(folder, part, 'ade20k', name, 'validation', fileName.replace('.jpg', end));
    const labels = await grey(file('scenes', 'annotations', '.png'));
    for (const [name, end] of [
      ['images', '.jpg'],
      ['annotations', '.png'],
    ]) {
      const [own, again, other] = ['scenes', 'again', 'other'].map((part) =>
        readFileSync(file(part, name, end)),
      );
      expect(again.equals(own)).toBe(true);
      expect(other.equals(own)).toBe(false);
    }
    const objects = coco.annotations.filter(({ imageId }) => imageId === id);
    expect(objects.length).toBeGreaterThanOrEqual(2);
    expect(objects.length).toBeLessThanOrEqual(4);
    const drawn = new Uint8Array(width * height).fill(1);
    for (const { categoryId, segmentation, box, area } of objects) {
      if (segmentation === undefined) throw new Error('no mask');
      const mask = decodeRle(segmentationRle(segmentation, { width, height }));
      const inside = [...mask.keys()].filter((at) => mask[at] === 1);
      expect(inside.length).toBe(area);
      for (const at of inside) drawn[at] = categoryId + 1;
      const [xs, ys] = [inside.map((at) => at % width), inside.map((at) => Math.floor(at / width))];
      const [left, top] = [Math.min(...xs), Math.min(...ys)];
      expect(box).toEqual([left, top, Math.max(...xs) - left + 1, Math.max(...ys) - top + 1]);
    }
    expect(drawn).toEqual(labels);
    for (const label of labels) counts[label - 1]++;
  }
  expect(pixels).toEqual(counts);
});

test('the whole experiment, and its tables', async () => {
  const images = join(folder, 'items');
  await writeStripes(images);
  const tiny = ['model.width=32', 'model.depth=4', 'training.batch_size=4', 'training.epochs=1'];
  const sizes = {
    train: 8,
    val: 2,
    epochs: { segmentation: 1, detection: 1 },
    backbone: [
      'model.width=32',
      'model.depth=4',
      'data.eval_images=20',
      'phases={E2E: {epochs: 1}}',
      'training.epochs=1',
    ],
    segmentation: tiny,
    detection: tiny,
  };
  const root = join(folder, 'seed-3');
  const result = await runSeed(root, 3, { sizes, items, path: images });
  expect(JSON.parse(readFileSync(join(root, 'result.json'), 'utf8'))).toEqual(result);
  expect(Object.keys(result.scores)).toEqual(['miou', 'ap', 'mask_ap']);
  const { scores, backbones } = result;
  for (const value of [
    ...Object.values(scores).flatMap((each) => Object.values(each)),
    ...Object.values(backbones),
  ]) {
    expect(value).toBeGreaterThanOrEqual(0);
    expect(value).toBeLessThanOrEqual(100);
  }
  for (const [task, side] of [
    ['segmentation', 56],
    ['detection', 64],
  ] as const) {
    const picture = join(root, `${task}.png`);
    await drawPredictions(root, task, picture);
    // Two images; five panels at three times their size.
    const cell = 3 * side + 6;
    expect(await sharp(picture).metadata()).toMatchObject({ width: 5 * cell - 6, height: 2 * cell - 6 });
  }

  const maps = await Promise.all(
    ['000001.png', '000002.png'].map((name) =>
      grey(join(root, 'scenes/ade20k/annotations/validation', name)),
    ),
  );
  const labels = maps.flatMap((map) => Array.from(map, (label) => label - 1));
  const background = areaSums(new Uint8Array(labels.length), labels, CLASSES + 1);
  expect(result.background).toBeCloseTo(summarizeAreas(background, CLASSES + 1).miou, 10);

  const { miou, ...others } = scores;
  const other = {
    ...result,
    seed: 4,
    scores: { miou: { ...miou, 'from scratch': miou['from scratch'] + 2 }, ...others },
  };
  const lines = tableOf([result, other]);
  expect(lines[0]).toMatch(/^mIoU, % +seed 3 +seed 4 +mean +gap to scratch$/);
  const scratch = miou['from scratch'];
  expect(lines[2]).toContain(`${(scratch + 1).toFixed(1)} +- 1.0`);
  const gap = miou['incubated backbone'] - scratch - 1;
  expect(lines[4]).toMatch(new RegExp(`${gap.toFixed(1)} \\+- 1\\.0$`));
  expect(lines.filter((line) => /^AP of (boxes|masks), %/.test(line))).toHaveLength(2);
});
