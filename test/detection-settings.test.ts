import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, jsonLines, start, temporaryFolder, until } from './cli-support.js';
import { COCO_CATEGORIES, writeCoco } from './coco.js';
import { change, largest, names, outcomeOf, trainedEndToEnd } from './end-to-end-outcome.js';
import { stateOf } from './killed-run.js';

// Training settings have the same effects for detection as for classification.

const folder = temporaryFolder();
const images = join(folder, 'coco');
beforeAll(() => writeCoco(images, { train: 16, val: 3 }));

const [RATE, LAYERS] = [0.001, 4];

interface Settings {
  readonly epochs?: number;
  /** Other keys of `training`. */
  readonly [key: string]: unknown;
}

function inputOf({ epochs = 2, ...training }: Settings, run: object = {}) {
  return {
    name: 'tiny',
    task: 'detection',
    model: {
      image_size: 64,
      patch_size: 8,
      classes: COCO_CATEGORIES.length,
      width: 32,
      depth: LAYERS,
      heads: 2,
      mlp_ratio: 2,
      decoder: { kind: 'mask-rcnn', window: 3, channels: 8, hidden: 16 },
    },
    incubation: 'none',
    data: { format: 'coco', path: images },
    detection: {
      scale: [96, 64],
      augment: { scales: [48, 64] },
      training: { anchors: 32, regions: 16, before_nms: 50, proposals: 40 },
      evaluation: { before_nms: 50, proposals: 40, objects: 10, score: 0.01 },
    },
    training: {
      batch_size: 4,
      drop_path: 0.2,
      log_every: 1,
      checkpoint_every: 0.001,
      optimizer: { lr: RATE, lr_batch: null, weight_decay: 0 },
      schedule: { kind: 'step-cosine', warmup: 0 },
      ...training,
    },
    phases: { E2E: { epochs } },
    run: { device: 'cpu', threads: 1, ...run },
  };
}

const METRICS = ['ap', 'mask_ap', 'loss'];
const trained = (name: string, training: Settings) =>
  trainedEndToEnd(inputOf(training), join(folder, name), METRICS);

test('activation checkpointing changes neither losses nor weights', async () => {
  const [plain, checkpointed] = [
    await trained('plain', {}),
    await trained('checkpointed', { activation_checkpointing: true }),
  ];
  expect(checkpointed.steps).toEqual(plain.steps);
  expect(checkpointed.scores).toEqual(plain.scores);
  for (const name of names(plain))
    expect(checkpointed.model.get(name)?.data, name).toEqual(plain.model.get(name)?.data);
});

test('frozen parameters keep their values', async () => {
  const freeze = ['blocks.*.attn.*', 'detector.rpn.*'];
  const [one, eight] = [
    await trained('frozen-1', { freeze, epochs: 0.25 }),
    await trained('frozen-8', { freeze }),
  ];
  for (const name of names(one)) {
    const moved = largest(change(eight, one, name));
    if (/\.attn\.|detector\.rpn\./.test(name)) expect(moved, name).toBe(0);
    else expect(moved, name).toBeGreaterThan(0);
  }
});

test('the first step of AdamW moves each layer by its share of the rate', async () => {
  const first = { epochs: 0.25, drop_path: 0 };
  const optimizer = { lr: RATE, lr_batch: null, weight_decay: 0 };
  const decay = { layer_decay: 0.5, backbone_lr_scale: 0.1 };
  const [whole, decayed, still] = [
    await trained('rate', { ...first, optimizer }),
    await trained('decayed', { ...first, optimizer: { ...optimizer, ...decay } }),
    await trained('still', { ...first, optimizer: { ...optimizer, lr: 1e-12 } }),
  ];
  const shares: [string, number][] = [
    ['patch_embed.proj.weight', 0.1 / 2 ** (LAYERS + 1)],
    ['blocks.0.mlp.fc1.weight', 0.1 / 2 ** LAYERS],
    [`blocks.${LAYERS - 1}.mlp.fc1.weight`, 0.1 / 2],
    ['pyramid.up2.weight', 1],
    ['detector.rpn.conv.weight', 1],
  ];
  for (const [part, share] of shares) {
    const name = names(whole).find((each) => each.endsWith(part)) ?? part;
    const full = largest(change(whole, still, name));
    expect(full, name).toBeGreaterThan(RATE / 2);
    expect(largest(change(decayed, still, name)) / full, name).toBeCloseTo(share, 3);
  }
});

/** Everything at once. */
const ALL = {
  ema: 0.9,
  accumulate: 2,
  activation_checkpointing: true,
  precision: 'bfloat16',
  freeze: ['blocks.0.attn.*'],
  clip_grad: 1,
  epochs: 4,
  optimizer: { lr: RATE, lr_batch: null, weight_decay: 0.01, layer_decay: 0.8, backbone_lr_scale: 0.5 },
};

describe('on the command line', () => {
  const args = (name: string, training: Settings, run: object = {}) => {
    const recipe = join(folder, `${name}.json`);
    writeFileSync(recipe, JSON.stringify(inputOf(training, run)));
    return ['run', recipe, '--out', join(folder, name)];
  };

  test('with all settings, a run that is killed and resumed ends with the same bits', async () => {
    expect(await cli(args('whole', ALL))).toMatchObject({ code: 0 });
    const metrics = join(folder, 'killed/E2E/metrics.jsonl');
    const first = start(args('killed', ALL));
    await until(() => jsonLines(metrics).some(({ kind, step }) => kind === 'step' && step === 3), 'step 3');
    first.process.kill('SIGKILL');
    await first.ended;
    expect(await cli(args('killed', ALL))).toMatchObject({ code: 0 });
    const [once, twice] = ['whole', 'killed'].map((name) => stateOf(join(folder, name), 'E2E'));
    for (const part of ['model', 'optimizer'] as const) {
      expect([...twice[part].keys()]).toEqual([...once[part].keys()]);
      for (const [name, tensor] of once[part]) expect(twice[part].get(name), name).toEqual(tensor);
    }
    const [a, b] = ['whole', 'killed'].map((name) => outcomeOf(join(folder, name), METRICS));
    expect(b.steps).toEqual(a.steps);
    expect(b.scores).toEqual(a.scores);
  }, 300_000);

  test('two processes give the same result as one, including averaged weights', async () => {
    const training = { batch_size: 2, accumulate: 4, clip_grad: 1, ema: 0.9, epochs: 2 };
    expect(await cli(args('one', training))).toMatchObject({ code: 0 });
    expect(await cli(args('two', training, { ranks: 2 }))).toMatchObject({ code: 0 });
    const [a, b] = ['one', 'two'].map((name) => outcomeOf(join(folder, name), METRICS));
    expect(b.steps.length).toBe(4);
    for (const [i, values] of b.steps.entries())
      for (const [j, value] of values.entries())
        expect(Math.abs(Number(value) / Number(a.steps[i][j]) - 1)).toBeLessThan(1e-4);
    for (const name of names(a)) expect(largest(change(b, a, name)), name).toBeLessThan(1e-4);
    expect(Math.abs(Number(b.scores.loss) / Number(a.scores.loss) - 1)).toBeLessThan(1e-4);
  }, 120_000);
});
