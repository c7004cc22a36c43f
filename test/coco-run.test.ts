import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { beforeAll, expect, test } from 'vitest';
import { cli, jsonLines, temporaryFolder } from './cli-support.js';
import { writeCoco } from './coco.js';
import { expectSameTogether } from './incubated-together.js';
import { expectSameWhenKilled } from './killed-run.js';

const folder = temporaryFolder();
const recipe = fileURLToPath(new URL('../recipes/coco/mask-rcnn-vit-l-3x.yaml', import.meta.url));
const images = join(folder, 'coco');
const run = join(folder, 'run');

/** The published recipe at the size of a test: a small backbone, three classes, images of 40 to 64 pixels. */
const sets = [
  'model={image_size: 64, patch_size: 8, width: 32, depth: 4, heads: 2, mlp_ratio: 2, classes: 3, layer_scale: 1, decoder: {kind: mask-rcnn, window: 3, channels: 8, hidden: 16}}',
  'detection.scale=[96,64]',
  'detection.augment={scales: [48, 64], crop: {scales: [40, 60], size: [32, 48]}, largest: 64}',
  'detection.training={anchors: 32, regions: 16, before_nms: 50, proposals: 40}',
  'detection.evaluation={before_nms: 50, proposals: 40, objects: 10, score: 0.01}',
  `data.path=${images}`,
  'start={}',
  'incubation={modules: 2}',
  'training.batch_size=2',
  'training.total_batch=4',
  'training.eval_every=1',
  'training.log_every=1',
  'training.checkpoint_every=0.001',
  'training.optimizer.lr=0.001',
  'training.schedule={kind: epoch-cosine, warmup: 0}',
  'phases.PT.epochs=2',
  'phases.MT.epochs=1',
  'phases.FT.epochs=2',
  'phases.E2E.epochs=1',
  'run.device=cpu',
  'run.threads=1',
  'run.parallel=1',
];
const args = (out: string) => ['run', recipe, '--out', out, ...sets.flatMap((set) => ['--set', set])];

beforeAll(async () => {
  await writeCoco(images, { train: 12, val: 3 });
  const ended = await cli(args(run));
  expect(ended, ended.stderr).toMatchObject({ code: 0 });
}, 300_000);

test('all phases of the published recipe are trained and report AP', () => {
  for (const phase of ['PT', 'MT/0', 'MT/1', 'FT', 'E2E']) {
    const records = jsonLines(join(run, phase, 'metrics.jsonl'));
    const last = records.filter(({ kind }) => kind === 'eval').at(-1);
    expect(last?.loss, phase).toBeGreaterThan(0);
    for (const metric of ['ap', 'ap50', 'ap75', 'mask_ap', 'mask_ap50', 'mask_ap75']) {
      expect(last?.[metric], `${phase} ${metric}`).toBeGreaterThanOrEqual(0);
      expect(last?.[metric]).toBeLessThanOrEqual(100);
    }
  }
});

test('each phase keeps the classes and pictures of its last evaluation, and the report shows them', async () => {
  for (const phase of ['PT', 'FT', 'E2E']) {
    const { step, classes, images } = JSON.parse(readFileSync(join(run, phase, 'detection.json'), 'utf8'));
    const last = jsonLines(join(run, phase, 'metrics.jsonl')).findLast(({ kind }) => kind === 'eval');
    expect(step).toBe(last?.step);
    for (const metric of ['ap', 'mask_ap']) {
      const defined = classes.flatMap((each: Record<string, number | null>) => each[metric] ?? []);
      const mean = defined.reduce((sum: number, ap: number) => sum + ap, 0) / defined.length;
      expect(mean).toBeCloseTo(Number(last?.[metric]), 10);
    }
    // Two objects in each of three images.
    const objects = classes.map(({ objects }: { objects: number }) => objects);
    expect(objects.reduce((sum: number, count: number) => sum + count)).toBe(6);
    const pictures = readdirSync(join(run, phase, 'samples')).filter((name) => name.startsWith('map-'));
    expect(pictures.sort()).toEqual([0, 1, 2].map((image) => `map-${step}-${image}.png`));
    for (const [i, { width, height }] of images.entries()) {
      const { data, info } = await sharp(join(run, phase, 'samples', pictures[i]))
        .raw()
        .toBuffer({ resolveWithObject: true });
      expect(info).toMatchObject({ width: 3 * width, height, channels: 3 });
      const panel = (at: number) =>
        Array.from({ length: height }, (_, y) => [
          ...data.subarray(9 * width * y + 3 * width * at, 9 * width * y + 3 * width * (at + 1)),
        ]);
      expect(panel(1)).not.toEqual(panel(0));
    }
  }
  const page = readFileSync(join(run, 'report/index.html'), 'utf8');
  expect(page.match(/src="data:image\/png;base64,/g)).toHaveLength(6);
  for (const name of ['AP of boxes', 'AP of masks']) expect(page).toContain(`<th>${name}</th>`);
});

test('the samples of the first batch have no label of their own', () => {
  const { images } = JSON.parse(readFileSync(join(run, 'PT/samples/train.json'), 'utf8'));
  expect(images.map(({ targets }: { targets: unknown }) => targets)).toEqual(images.map(() => []));
});

test('killed and resumed, the result is the same, bit by bit', async () => {
  const killed = join(folder, 'killed');
  await expectSameWhenKilled(args, { whole: run, killed, phases: ['PT', 'MT/1', 'FT'] });
}, 300_000);

test('modules that are incubated together are the same as separate ones', async () => {
  await expectSameTogether(args, folder);
}, 300_000);
