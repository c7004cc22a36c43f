import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { latestCheckpoint, readCheckpoint } from '../src/run/checkpoint-store.js';
import { ADE20K_CLASSES, writeAde20k } from './ade20k.js';
import { cli, jsonLines, start, temporaryFolder, until } from './cli-support.js';
import { change, largest, names, outcomeOf, trainedEndToEnd } from './end-to-end-outcome.js';

// Training settings have the same effects for segmentation as for classification.

const folder = temporaryFolder();
const images = join(folder, 'ADEChallengeData2016');
beforeAll(() => writeAde20k(images, { train: 16, val: 3 }));

const [RATE, LAYERS] = [0.001, 4];

interface Settings {
  readonly epochs?: number;
  /** Other keys of `training`. */
  readonly [key: string]: unknown;
}

function inputOf({ epochs = 2, ...training }: Settings, channels = 3) {
  return {
    name: 'tiny',
    task: 'segmentation',
    model: {
      image_size: 32,
      patch_size: 8,
      classes: ADE20K_CLASSES,
      width: 16,
      depth: LAYERS,
      heads: 2,
      channels,
      decoder: { channels: 8, aux_channels: 4 },
    },
    incubation: 'none',
    data: {
      format: 'ade20k',
      path: images,
      mean: Array<number>(channels).fill(0.5),
      std: Array<number>(channels).fill(0.2),
    },
    segmentation: { scale: [96, 40] },
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
    run: { device: 'cpu', threads: 1 },
  };
}

const METRICS = ['miou', 'macc', 'aacc'];
const trained = (name: string, training: Settings) =>
  trainedEndToEnd(inputOf(training), join(folder, name), METRICS);

test('activation checkpointing changes neither losses nor weights, and updates batch norm once', async () => {
  const [plain, checkpointed] = [
    await trained('plain', {}),
    await trained('checkpointed', { activation_checkpointing: true }),
  ];
  expect(checkpointed.steps).toEqual(plain.steps);
  expect(checkpointed.scores).toEqual(plain.scores);
  for (const name of names(plain))
    expect(checkpointed.model.get(name)?.data, name).toEqual(plain.model.get(name)?.data);
  const counts = names(plain).filter((name) => name.endsWith('num_batches_tracked'));
  expect(counts.length).toBeGreaterThan(5);
  for (const name of counts) expect(checkpointed.model.get(name)?.data[0], name).toBe(8);
});

test('frozen parameters keep their values, and a frozen batch norm its statistics', async () => {
  const freeze = ['blocks.*.attn.*', 'decode_head.psp_modules.*'];
  const short = { freeze, epochs: 0.25 };
  const [one, eight] = [await trained('frozen-1', short), await trained('frozen-8', { freeze })];
  const isFrozen = (name: string) => /\.attn\.|psp_modules/.test(name);
  for (const name of names(one).filter((name) => !name.endsWith('num_batches_tracked'))) {
    const moved = largest(change(eight, one, name));
    if (isFrozen(name)) expect(moved, name).toBe(0);
    else expect(moved, name).toBeGreaterThan(0);
  }
});

test('layer decay: the first step of AdamW moves each layer by its share of the rate', async () => {
  const first = { epochs: 0.25, drop_path: 0 };
  const optimizer = { lr: RATE, lr_batch: null, weight_decay: 0 };
  const whole = await trained('rate', { ...first, optimizer });
  const decayed = await trained('decayed', { ...first, optimizer: { ...optimizer, layer_decay: 0.5 } });
  const still = await trained('still', { ...first, optimizer: { ...optimizer, lr: 1e-12 } });
  const layers: [string, number][] = [
    ['patch_embed.proj.weight', 0],
    ['blocks.0.mlp.fc1.weight', 1],
    [`blocks.${LAYERS - 1}.mlp.fc1.weight`, LAYERS],
    ['neck.convs.0.conv.weight', LAYERS + 1],
    ['decode_head.conv_seg.weight', LAYERS + 1],
    ['auxiliary_head.conv_seg.weight', LAYERS + 1],
  ];
  for (const [part, layer] of layers) {
    const name = names(whole).find((each) => each.endsWith(part)) ?? part;
    const full = largest(change(whole, still, name));
    expect(full, name).toBeGreaterThan(RATE / 2);
    expect(largest(change(decayed, still, name)) / full, name).toBeCloseTo(0.5 ** (LAYERS + 1 - layer), 3);
  }
});

test('colour images for a grey model are refused, as for classification', async () => {
  const run = trainedEndToEnd(inputOf({}, 1), join(folder, 'grey'), METRICS);
  await expect(run).rejects.toThrow('the images have 3 channels, but the model needs 1');
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
  optimizer: { lr: RATE, lr_batch: null, weight_decay: 0.01, layer_decay: 0.8 },
};

describe('on the command line', () => {
  const args = (name: string, training: Settings, run: object = {}) => {
    const recipe = join(folder, `${name}.json`);
    const input = inputOf(training);
    writeFileSync(recipe, JSON.stringify({ ...input, run: { ...input.run, ...run } }));
    return ['run', recipe, '--out', join(folder, name)];
  };

  const stateOf = (name: string) => {
    const { checkpoint } = latestCheckpoint(join(folder, name, 'E2E'));
    if (checkpoint === undefined) throw new Error(`${name} has no checkpoint`);
    return readCheckpoint(checkpoint);
  };

  test('with all settings, a run that is killed and resumed ends with the same bits', async () => {
    expect(await cli(args('whole', ALL))).toMatchObject({ code: 0 });
    const metrics = join(folder, 'killed/E2E/metrics.jsonl');
    const first = start(args('killed', ALL));
    await until(() => jsonLines(metrics).some(({ kind, step }) => kind === 'step' && step === 3), 'step 3');
    first.process.kill('SIGKILL');
    await first.ended;
    expect(await cli(args('killed', ALL))).toMatchObject({ code: 0 });
    const [once, twice] = ['whole', 'killed'].map(stateOf);
    for (const part of ['model', 'optimizer'] as const) {
      expect([...twice[part].keys()]).toEqual([...once[part].keys()]);
      for (const [name, tensor] of once[part]) expect(twice[part].get(name), name).toEqual(tensor);
    }
    const [a, b] = ['whole', 'killed'].map((name) => outcomeOf(join(folder, name), METRICS));
    expect(b.steps).toEqual(a.steps);
    expect(b.scores).toEqual(a.scores);
  }, 300_000);

  test.each([
    ['in training', []],
    ['with its batch norm frozen', ['*.bn.*']],
  ])(
    'two processes give the same result as one, %s',
    async (_, freeze) => {
      const training = { accumulate: 4, clip_grad: 1, ema: 0.9, drop_path: 0.2, freeze, epochs: 3 };
      const [one, two] = [`one-${freeze.length}`, `two-${freeze.length}`];
      expect(await cli(args(one, training))).toMatchObject({ code: 0 });
      expect(await cli(args(two, training, { ranks: 2 }))).toMatchObject({ code: 0 });
      const [a, b] = [one, two].map((name) => outcomeOf(join(folder, name), METRICS));
      expect(b.steps.length).toBe(3);
      for (const [i, values] of b.steps.entries())
        for (const [j, value] of values.entries())
          expect(Math.abs(Number(value) / Number(a.steps[i][j]) - 1)).toBeLessThan(1e-5);
      for (const name of names(a).filter((each) => !/running_|num_batches/.test(each)))
        expect(largest(change(b, a, name)), name).toBeLessThan(1e-4);
      // The running statistics of batch norm are those of the first process's micro-batches.
      if (freeze.length > 0) expect(b.scores).toEqual(a.scores);
      const evaluated = await cli(['eval', join(folder, two, 'E2E'), '--data', images, '--json']);
      expect(JSON.parse(evaluated.stdout)).toMatchObject(b.scores);
    },
    120_000,
  );
});
