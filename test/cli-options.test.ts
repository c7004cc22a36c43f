import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until } from './cli-support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

/** JPEGs of 48 x 40, two classes, as many as repeated augmentation needs. */
async function writePhotographs(root: string): Promise<void> {
  for (const [split, count] of [
    ['train', 132],
    ['val', 4],
  ] as const) {
    for (const [label, name] of ['dark', 'bright'].entries()) {
      mkdirSync(join(root, split, name), { recursive: true });
      for (let i = 0; i < count; i++) {
        const pixel = (_: unknown, j: number) => ((j * 31 + i * 97 + (j % 144) * 3) % 120) + label * 90;
        const data = Uint8Array.from({ length: 48 * 40 * 3 }, pixel);
        await sharp(data, { raw: { width: 48, height: 40, channels: 3 } })
          .jpeg()
          .toFile(join(root, split, name, `${i}.jpg`));
      }
    }
  }
}

function recipeFile(name: string, changes: object): string {
  const tiny = tinyRecipe(at('images')) as Record<string, Record<string, unknown>>;
  writeFileSync(at(name), JSON.stringify({ ...tiny, ...changes }));
  return at(name);
}

const tiny = () => tinyRecipe(at('images')) as Record<string, Record<string, unknown>>;
const everything = () => ({
  model: { ...tiny().model, image_size: 40, patch_size: 20 },
  data: {
    ...tiny().data,
    augment: {
      auto: 'rand-m9-mstd0.5-inc1',
      erase: 0.25,
      mixup: 0.8,
      cutmix: 1,
      repeats: 3,
    },
  },
  training: {
    ...tiny().training,
    epochs: 1,
    batch_size: 8,
    total_batch: 16,
    drop_path: 0.2,
    ema: 0.9,
    activation_checkpointing: true,
    clip_grad: 1,
    checkpoint_every: 0.2,
  },
  phases: { PT: { epochs: 6 }, E2E: { epochs: 1 } },
});

beforeAll(() => writePhotographs(at('images')), 60_000);

describe('with every option on', () => {
  test('a run that is killed during an epoch ends with the same result, for any number of workers', async () => {
    const recipe = recipeFile('everything.json', everything());
    const run = (out: string, workers: number) => [
      'run',
      recipe,
      '--out',
      at(out),
      '--set',
      `run.workers=${workers}`,
    ];
    expect(await cli([...run('whole', 1), '--quiet'])).toMatchObject({ code: 0 });

    const broken = start(run('broken', 2));
    const metrics = at('broken/PT/metrics.jsonl');
    await until(() => Number(jsonLines(metrics).at(-1)?.step ?? 0) >= 40, 'step 40');
    broken.process.kill('SIGKILL');
    await broken.ended;
    expect(await cli([...run('broken', 3), '--quiet'])).toMatchObject({ code: 0 });

    for (const phase of ['PT', 'MT/0', 'MT/1', 'FT', 'E2E']) {
      const [a, b] = ['whole', 'broken'].map((name) => traces(join(at(name), phase)));
      expect(b).toEqual(a);
    }
  });

  test('a model is fine-tuned to other classes only with a new head', async () => {
    for (const part of ['train', 'val']) {
      for (const name of ['dark', 'bright']) {
        cpSync(at(`images/${part}/${name}`), at(`three/${part}/${name}`), { recursive: true });
      }
      mkdirSync(at(`three/${part}/third`), { recursive: true });
      cpSync(at(`images/${part}/dark/0.jpg`), at(`three/${part}/third/0.jpg`));
    }
    const recipe = recipeFile('three.json', {
      ...everything(),
      model: { ...everything().model, classes: 3 },
      data: { ...everything().data, path: at('three') },
      start: { model: at('whole/FT') },
      phases: {},
    });
    const run = ['run', recipe, '--out', at('tuned'), '--quiet'];
    const refused = await cli(run);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(
      /start\.model .+: classes 2, but the recipe's model has 3\n {2}hint: set start\.head/,
    );
    expect(await cli([...run, '--set', 'start.head=new'])).toMatchObject({ code: 0 });
  });

  test('a run starts from a released meta model, or a whole model', async () => {
    const fromMeta = recipeFile('from-meta.json', { ...everything(), start: { meta: at('whole/PT') } });
    expect(await cli(['run', fromMeta, '--out', at('meta'), '--quiet'])).toMatchObject({ code: 0 });
    // The same modules as in the run whose meta model it is.
    const [own, given] = ['whole', 'meta'].map((name) => traces(join(at(name), 'MT/0')).files);
    expect(given).toEqual(own);

    const larger = { ...everything().model, image_size: 60 };
    const fromModel = recipeFile('from-model.json', {
      ...everything(),
      model: larger,
      start: { model: at('whole/FT') },
      phases: {},
    });
    const { code, stdout } = await cli(['run', fromModel, '--out', at('model'), '--json', '--quiet']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).phases_run).toEqual(['FT']);
    expect(jsonLines(at('model/FT/metrics.jsonl'))[0]).toMatchObject({ kind: 'eval', step: 0 });
  });
});

test('module imitation, distillation and an early stop', async () => {
  const recipe = recipeFile('ablation.json', {
    training: { ...tiny().training, epochs: 1, eval_every: 0.5 },
    model: { ...tiny().model, image_size: 40, patch_size: 20, distilled: true },
    phases: {
      PT: { epochs: 40, early_stop: { patience: 2 } },
      MT: { objective: 'imitate' },
      FT: { distill: { teacher: at('whole/E2E'), kind: 'soft', tau: 2 } },
    },
  });
  const ended = await cli(['run', recipe, '--out', at('ablation'), '--quiet']);
  expect(ended).toMatchObject({ code: 0, stderr: expect.stringMatching(/^(checkpoint: [^\n]+\n)*$/) });
  const { steps } = JSON.parse(readFileSync(at('ablation/PT/result.json'), 'utf8'));
  expect(steps).toBeLessThan(40 * 33);
  expect(readFileSync(at('ablation/PT/log.txt'), 'utf8')).toContain('no better top-1 for 2 evaluations');
  // The distance to the meta stage's features is far below a classifier's loss, and falls.
  const losses = jsonLines(at('ablation/MT/0/metrics.jsonl'))
    .filter(({ kind }) => kind === 'step')
    .map(({ loss }) => Number(loss));
  expect(losses.at(-1)).toBeLessThan(losses[0]);
});

test('optimisers, schedules, layer-wise decay and frozen parameters', async () => {
  const phases = {
    PT: { optimizer: { name: 'lamb' }, schedule: { kind: 'polynomial' } },
    MT: { optimizer: { name: 'lion', lr: 1e-4 }, schedule: { kind: 'wsd' } },
    FT: {
      optimizer: { name: 'sgd', layer_decay: 0.7 },
      schedule: { kind: 'multi-step', milestones: [0.5] },
      freeze: ['patch_embed.*', 'blocks.*.norm1.*'],
    },
  };
  const training = { ...tiny().training, epochs: 1, keep_checkpoints: 2 };
  const model = { ...tiny().model, image_size: 40, patch_size: 20 };
  const recipe = recipeFile('parts.json', { model, training, phases });
  expect(await cli(['run', recipe, '--out', at('parts'), '--quiet'])).toMatchObject({ code: 0 });

  const frozen = recipeFile('frozen.json', { model, phases: { PT: { freeze: ['blocks.7.*'] } } });
  const { code, stderr } = await cli(['run', frozen, '--out', at('frozen'), '--quiet']);
  expect(code).toBe(2);
  expect(stderr).toContain('blocks.7.* matches no parameter');
});

/** The files of a phase, without values that depend on the clock. */
function traces(phase: string) {
  const latest = readFileSync(join(phase, 'checkpoints/latest'), 'utf8').trim();
  const manifest = JSON.parse(readFileSync(join(phase, 'checkpoints', latest, 'manifest.json'), 'utf8'));
  const metrics = jsonLines(join(phase, 'metrics.jsonl')).map(
    ({ seconds, images_per_second, memory_bytes, data_wait, time, ...rest }) => rest,
  );
  return { files: manifest.files, metrics };
}
