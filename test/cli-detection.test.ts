import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { readCocoAnnotations } from '../src/data/coco/annotations.js';
import { readCocoResults } from '../src/data/coco/results.js';
import { rleArea } from '../src/data/coco/rle.js';
import { type CocoRle, segmentationRle } from '../src/data/coco/segmentation.js';
import { cocoEvaluate } from '../src/tasks/detection/coco-evaluate.js';
import { cli, temporaryFolder } from './cli-support.js';
import { COCO_CATEGORIES, writeCoco } from './coco.js';

const folder = temporaryFolder();
const [images, run] = ['coco', 'run'].map((name) => join(folder, name));
const truths = join(images, 'annotations/instances_val2017.json');

const recipe = {
  name: 'shapes',
  task: 'detection',
  model: {
    image_size: 64,
    patch_size: 8,
    width: 32,
    depth: 4,
    heads: 2,
    mlp_ratio: 2,
    classes: 3,
    decoder: { kind: 'mask-rcnn', window: 3, channels: 8, hidden: 16 },
  },
  incubation: 'none',
  data: { format: 'coco', path: images },
  detection: {
    scale: [96, 64],
    augment: { scales: [64] },
    training: { anchors: 32, regions: 16, before_nms: 50, proposals: 40 },
    evaluation: { before_nms: 50, proposals: 40, objects: 10, score: 0 },
  },
  training: { batch_size: 2, optimizer: { lr: 0.001, lr_batch: null } },
  phases: { E2E: { epochs: 1 } },
  run: { device: 'cpu', threads: 1 },
};

beforeAll(async () => {
  await writeCoco(images, { train: 6, val: 4 });
  writeFileSync(join(folder, 'recipe.json'), JSON.stringify(recipe));
  const ended = await cli(['run', join(folder, 'recipe.json'), '--out', run, '--quiet']);
  expect(ended, ended.stderr).toMatchObject({ code: 0 });
}, 120_000);

const evalArgs = ['eval', join(run, 'E2E'), '--data', images];

test("eval writes COCO's results files, whose figures are those that it prints", async () => {
  const perImage = join(folder, 'results.json');
  const { code, stdout, stderr } = await cli([...evalArgs, '--json', '--per-image', perImage]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const printed = JSON.parse(stdout);
  const annotations = readCocoAnnotations(truths);
  for (const [kind, file] of [
    ['boxes', 'results.bbox.json'],
    ['masks', 'results.segm.json'],
  ] as const) {
    const results = readCocoResults(join(folder, file), annotations);
    expect(results.length).toBeGreaterThan(0);
    const { figures } = cocoEvaluate(annotations, results, kind);
    for (const [name, figure] of Object.entries(figures)) {
      if (figure < 0) expect(printed[kind][name], name).toBeNull();
      else expect(printed[kind][name], name).toBeCloseTo(100 * figure, 3);
    }
  }
  expect(printed.classes.map(({ name }: { name: string }) => name)).toEqual(
    [...COCO_CATEGORIES].sort((a, b) => a.id - b.id).map(({ name }) => name),
  );
  const again = await cli([...evalArgs, '--per-image', perImage]);
  expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('exists') });
});

test("predict writes one file in COCO's layout, and prints the same objects", async () => {
  const out = join(folder, 'objects.json');
  const args = ['predict', join(run, 'E2E'), join(images, 'val2017'), '--top', '3'];
  const { code, stdout, stderr } = await cli([...args, '--json', '--out', out]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines).toHaveLength(4);
  const content = JSON.parse(readFileSync(out, 'utf8'));
  expect(content.images).toHaveLength(4);
  expect(content.categories).toEqual([...COCO_CATEGORIES].sort((a, b) => a.id - b.id));
  for (const each of content.annotations) {
    const image = content.images.find(({ id }: { id: number }) => id === each.image_id);
    const mask = segmentationRle(each.segmentation as CocoRle, image);
    expect(each.area).toBe(rleArea(mask));
    expect([mask.height, mask.width]).toEqual([image.height, image.width]);
  }
  const objects = lines.flatMap((line) => line.objects);
  expect(content.annotations.map(({ score }: { score: number }) => score)).toEqual(
    objects.map(({ score }: { score: number }) => score),
  );
});

test('a damaged image is listed and skipped, with exit 1', async () => {
  const bad = join(folder, 'bad.png');
  writeFileSync(bad, 'not an image');
  const [first] = readCocoAnnotations(truths).images;
  const good = join(images, 'val2017', first.fileName);
  const { code, stdout, stderr } = await cli(['predict', join(run, 'E2E'), bad, good, '--csv']);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('bad.png') });
  expect(stdout.split('\n')[0]).toBe('image,class,score,x,y,width,height');
});

test.each([
  [['export', join(run, 'E2E'), join(folder, 'model.onnx')], 'exported as ONNX'],
  [['convert', join(run, 'E2E'), join(folder, 'timm.safetensors'), '--to', 'timm'], 'timm'],
  [[...evalArgs, '--batch-mean'], '--batch-mean'],
  [[...evalArgs, '--per-image', join(folder, 'x.csv')], '.json'],
])('%j is refused with a hint', async (args, message) => {
  const { code, stderr } = await cli(args);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
  expect(stderr).toContain('hint:');
  expect(existsSync(join(folder, 'model.onnx'))).toBe(false);
});

const edited = (change: (content: { annotations: Record<string, unknown>[] }) => void) => {
  const content = JSON.parse(readFileSync(truths, 'utf8'));
  change(content);
  return JSON.stringify(content);
};

test.each<[string, () => string, string]>([
  ['no segmentation', () => edited(({ annotations: [first] }) => delete first.segmentation), 'segmentation'],
  ['a box of three numbers', () => edited(({ annotations: [first] }) => (first.bbox = [1, 2, 3])), 'bbox'],
  [
    'an unknown category',
    () => edited(({ annotations: [first] }) => (first.category_id = 5)),
    'category_id 5',
  ],
  ['an unknown image', () => edited(({ annotations: [first] }) => (first.image_id = 5)), 'image_id 5'],
  ['no JSON', () => '{', 'instances_val2017.json'],
])('annotations with %s: exit 2 naming the file', async (_, content, message) => {
  const before = readFileSync(truths);
  try {
    writeFileSync(truths, content());
    const { code, stderr } = await cli(evalArgs);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
    expect(stderr).toContain('instances_val2017.json');
  } finally {
    writeFileSync(truths, before);
  }
});

test('plan --measure times steps on random images with objects', async () => {
  const ended = await cli(['plan', join(folder, 'recipe.json'), '--measure', '--json']);
  expect(ended, ended.stderr).toMatchObject({ code: 0 });
  const [{ phase, seconds }] = JSON.parse(ended.stdout).phases;
  expect({ phase, isTimed: seconds > 0 }).toEqual({ phase: 'E2E', isTimed: true });
});

test('a run starts from a detector and keeps its head, if the classes are the same in the same order', async () => {
  const start = (name: string, path: string) => {
    const content = { ...recipe, data: { ...recipe.data, path }, start: { model: join(run, 'E2E') } };
    const phases = { FT: { epochs: 1 }, E2E: 'none' };
    writeFileSync(join(folder, `${name}.json`), JSON.stringify({ ...content, phases }));
    return cli(['run', join(folder, `${name}.json`), '--out', join(folder, name), '--quiet']);
  };
  const kept = await start('kept', images);
  expect(kept, kept.stderr).toMatchObject({ code: 0 });
  const renamed = join(folder, 'renamed');
  cpSync(images, renamed, { recursive: true });
  for (const part of ['train2017', 'val2017']) {
    const path = join(renamed, `annotations/instances_${part}.json`);
    const swapped = readFileSync(path, 'utf8').replace('"box"', '"?"').replace('"triangle"', '"box"');
    writeFileSync(path, swapped.replace('"?"', '"triangle"'));
  }
  const other = await start('other', renamed);
  expect(other).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('class 0 is box in the head and triangle in the images'),
  });
});

test('data check does not count images of classes, and finds no problem', async () => {
  const { code, stdout } = await cli(['data', 'check', images, '--json']);
  expect({ code, stdout }).toMatchObject({ code: 0 });
  expect(JSON.parse(stdout)).toMatchObject({ parts: { train: { classes: 3, balance: null } }, problems: [] });
});

test('push needs no --to: no other program has the format', async () => {
  const { code, stdout, stderr } = await cli(['push', join(run, 'E2E'), 'ada/shapes', '--dry-run']);
  expect({ code, stderr }).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('--to deep-incubation'),
  });
  expect(stdout).toContain('pipeline_tag: object-detection');
});

test('init says that it writes recipes for classification', async () => {
  const { code, stderr } = await cli(['init', images, '--out', join(folder, 'first.yaml')]);
  expect({ code, stderr }).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('has annotations, and init'),
  });
  expect(stderr).toContain('task: detection');
});
