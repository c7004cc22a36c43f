import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { latestCheckpoint, readCheckpoint } from '../src/run/checkpoint-store.js';
import { cli, jsonLines, start, temporaryFolder, until } from './cli-support.js';
import { writeCoco } from './coco.js';

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
const args = (out: string, ...more: string[]) => [
  'run',
  recipe,
  '--out',
  out,
  ...[...sets, ...more].flatMap((set) => ['--set', set]),
];

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

const stateOf = (dir: string, phase: string) => {
  const { checkpoint } = latestCheckpoint(join(dir, phase));
  if (checkpoint === undefined) throw new Error(`${phase} has no checkpoint`);
  return readCheckpoint(checkpoint);
};

test('killed and resumed, the result is the same, bit by bit', async () => {
  const killed = join(folder, 'killed');
  const metrics = join(killed, 'PT/metrics.jsonl');
  const first = start(args(killed));
  await until(() => jsonLines(metrics).some(({ kind, step }) => kind === 'step' && step === 3), 'step 3');
  first.process.kill('SIGKILL');
  await first.ended;
  expect(await cli(args(killed))).toMatchObject({ code: 0 });
  for (const phase of ['PT', 'MT/1', 'FT']) {
    const [once, twice] = [run, killed].map((dir) => stateOf(dir, phase));
    expect([...twice.model.keys()]).toEqual([...once.model.keys()]);
    for (const [name, tensor] of once.model) expect(twice.model.get(name), name).toEqual(tensor);
  }
}, 300_000);
