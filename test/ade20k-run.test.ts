import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { beforeAll, expect, test } from 'vitest';
import { writeAde20k } from './ade20k.js';
import { cli, jsonLines, temporaryFolder } from './cli-support.js';
import { expectSameTogether } from './incubated-together.js';
import { expectSameWhenKilled } from './killed-run.js';

const folder = temporaryFolder();
const recipe = fileURLToPath(new URL('../recipes/ade20k/upernet-vit-b.yaml', import.meta.url));
const images = join(folder, 'ADEChallengeData2016');
const run = join(folder, 'run');

/** The published recipe at the size of a test: a small backbone, three classes, images of 40 to 62 pixels. */
const sets = [
  'model={image_size: 32, patch_size: 8, width: 16, depth: 4, heads: 2, classes: 3, decoder: {channels: 8, aux_channels: 4}}',
  'segmentation.scale=[96,40]',
  `data.path=${images}`,
  'start={}',
  'incubation={modules: 2}',
  'training.batch_size=4',
  'training.total_batch=null',
  'training.eval_every=1',
  'training.log_every=1',
  'training.checkpoint_every=0.001',
  'training.optimizer.lr=0.003',
  'training.schedule.warmup=0',
  'phases.PT.epochs=2',
  'phases.MT.epochs=2',
  'phases.FT.epochs=3',
  'phases.E2E.epochs=2',
  'run.device=cpu',
  'run.threads=1',
  'run.parallel=1',
];
const args = (out: string) => ['run', recipe, '--out', out, ...sets.flatMap((set) => ['--set', set])];

beforeAll(async () => {
  await writeAde20k(images, { train: 16, val: 3 });
  const ended = await cli(args(run));
  expect(ended, ended.stderr).toMatchObject({ code: 0 });
}, 300_000);

test('all phases of the published recipe are trained and report mIoU', () => {
  for (const phase of ['PT', 'MT/0', 'MT/1', 'FT', 'E2E']) {
    const records = jsonLines(join(run, phase, 'metrics.jsonl'));
    const last = records.filter(({ kind }) => kind === 'eval').at(-1);
    for (const metric of ['miou', 'macc', 'aacc']) {
      expect(last?.[metric], `${phase} ${metric}`).toBeGreaterThan(0);
      expect(last?.[metric]).toBeLessThanOrEqual(100);
    }
  }
});

test('the manifest of a checkpoint names the task', () => {
  const latest = readFileSync(join(run, 'FT/checkpoints/latest'), 'utf8').trim();
  const manifest = JSON.parse(readFileSync(join(run, 'FT/checkpoints', latest, 'manifest.json'), 'utf8'));
  expect(manifest.task).toBe('segmentation');
});

test('each phase keeps the classes and pictures of its last evaluation, and the report shows them', async () => {
  for (const phase of ['PT', 'FT', 'E2E']) {
    const { step, classes, images } = JSON.parse(readFileSync(join(run, phase, 'segmentation.json'), 'utf8'));
    const last = jsonLines(join(run, phase, 'metrics.jsonl')).findLast(({ kind }) => kind === 'eval');
    expect(step).toBe(last?.step);
    const defined = classes.flatMap(({ iou }: { iou: number | null }) => iou ?? []);
    const mean = defined.reduce((sum: number, iou: number) => sum + iou, 0) / defined.length;
    expect(mean).toBeCloseTo(Number(last?.miou), 10);
    expect(images.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2]);
    const pictures = readdirSync(join(run, phase, 'samples')).filter((name) => name.startsWith('map-'));
    expect(pictures.sort()).toEqual([0, 1, 2].map((image) => `map-${step}-${image}.png`));
    for (const [i, { width, height }] of images.entries()) {
      const { data, info } = await sharp(join(run, phase, 'samples', pictures[i]))
        .raw()
        .toBuffer({ resolveWithObject: true });
      expect(info).toMatchObject({ width: 3 * width, height, channels: 3 });
      // The first line has no label: its panel shows the image.
      expect(data.subarray(3 * width, 6 * width)).toEqual(data.subarray(0, 3 * width));
      const middle = 3 * 3 * width * (height >> 1);
      expect(data.subarray(middle + 3 * width, middle + 6 * width)).not.toEqual(
        data.subarray(middle, middle + 3 * width),
      );
    }
  }
  const page = readFileSync(join(run, 'report/index.html'), 'utf8');
  expect(page.match(/src="data:image\/png;base64,/g)).toHaveLength(6);
  for (const name of ['dark ground', 'bright, box', 'red, patch']) expect(page).toContain(`<td>${name}</td>`);
});

test('killed and resumed, the result is the same, bit by bit', async () => {
  const killed = join(folder, 'killed');
  await expectSameWhenKilled(args, { whole: run, killed, phases: ['PT', 'MT/1', 'FT'] });
}, 300_000);

test('modules that are incubated together are the same as separate ones', async () => {
  await expectSameTogether(args, folder);
}, 300_000);
