import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { cli, start, temporaryFolder, until } from './cli-support.js';
import { startFakeHub } from './fake-hub.js';
import { goldenPath, goldenTensors, numbers } from './support.js';

const folder = temporaryFolder();
const data = ['--data', goldenPath('png')];
/** The message for weights that do not state how images are normalised. */
const ASSUMED_IMAGES =
  "assumed: mean [0.485, 0.456, 0.406] (ImageNet's)\n" +
  "assumed: standard deviation [0.229, 0.224, 0.225] (ImageNet's)\n";
const evaluate = (name: string, ...args: string[]) =>
  cli(['eval', goldenPath(`ckpt/${name}.pth`), ...data, ...args]);

test.each(['FT', 'PT', 'MT_1'])('%s.pth of the official code has the scores of its logits', async (name) => {
  const { code, stdout } = await evaluate(name, '--set', 'model.heads=4', '--batch-size', '5', '--json');
  expect(code).toBe(0);
  const result = JSON.parse(stdout);
  const { loss, top1, top5 } = scoresOf(name);
  expect(result).toMatchObject({ images: 16, top1, top5 });
  expect(Math.abs(result.loss - loss)).toBeLessThan(1e-5);
  expect(result.images_per_second).toBeGreaterThan(0);
});

test('classes and confusions are those of the official logits; the terminal shows the worst', async () => {
  const args = ['--set', 'model.heads=4', '--batch-size', '5'];
  const { classes, confusions } = JSON.parse((await evaluate('FT', ...args, '--json')).stdout);
  const { labels, guesses } = guessesOf('FT');
  const rows = [...new Set(labels)]
    .sort((a, b) => a - b)
    .map((label) => {
      const taken = guesses.filter((_, i) => labels[i] === label);
      const right = taken.filter((guess) => guess === label).length;
      return { class: label, images: taken.length, top1: (100 * right) / taken.length };
    });
  expect(classes).toEqual(rows.map((row) => expect.objectContaining(row)));
  const wrong = labels.flatMap((label, i) => (label === guesses[i] ? [] : [`${label} ${guesses[i]}`]));
  expect(wrong.length).toBeGreaterThan(0);
  const counted = [...new Set(wrong)].map((pair) => [
    ...pair.split(' ').map(Number),
    wrong.filter((other) => other === pair).length,
  ]);
  expect(confusions.toSorted()).toEqual(counted.toSorted());
  const most = confusions.map(([, , images]: number[]) => images);
  expect(most).toEqual(most.toSorted((a: number, b: number) => b - a));

  const { stdout } = await evaluate('FT', ...args);
  const [target, taken] = confusions[0];
  expect(stdout).toMatch(new RegExp(`most frequent confusions\\n  ${target} +predicted as ${taken} `));
  const worst = Math.min(...rows.map(({ top1 }) => top1));
  expect(stdout).toMatch(new RegExp(`worst classes\\n  \\d +${worst.toFixed(2)} % +of \\d+ images`));
});

test('a recipe states the heads, and its hybrids and meta model are recognised', async () => {
  const recipe = join(folder, 'golden.yaml');
  writeFileSync(
    recipe,
    `name: golden
model: { image_size: 28, patch_size: 4, classes: 10, width: 64, depth: 8, heads: 4 }
incubation: { modules: 4 }
data: { format: fashion-mnist }
`,
  );
  for (const name of ['FT', 'MT_1']) {
    const { code, stdout } = await evaluate(name, '--recipe', recipe, '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout).top1).toBe(scoresOf(name).top1);
  }
  const wide = await evaluate('FT', '--recipe', recipe, '--set', 'model.width=32');
  expect(wide).toMatchObject({ code: 2, stdout: '' });
  expect(wide.stderr).toMatch(/stage 0: \S+ has shape \[.*64.*\], but the model needs \[.*32.*\]/);
  const deep = await evaluate('FT', '--recipe', recipe, '--set', 'model.depth=12');
  expect(deep).toMatchObject({ code: 2, stdout: '' });
  expect(deep.stderr).toContain('stages of 2 2 2 2 blocks, which no model of golden has');
});

test('facts that weights do not show are requested', async () => {
  const { code, stderr } = await evaluate('FT');
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /the number of attention heads is unknown: .*\n {2}hint: use --recipe R, or --set model.heads=N\n$/,
  );
});

test('--batch-mean adds the mean of batch means, in which a short last batch counts as a full one', async () => {
  const args = ['--set', 'model.heads=4', '--batch-size', '5', '--json'];
  expect(JSON.parse((await evaluate('FT', ...args)).stdout)).not.toHaveProperty('loss_batch_mean');
  const { stdout } = await evaluate('FT', ...args, '--batch-mean');
  const { losses, loss } = scoresOf('FT');
  const means = [0, 5, 10, 15].map((start) => meanOf(losses.slice(start, start + 5)));
  const result = JSON.parse(stdout);
  expect(Math.abs(result.loss_batch_mean - meanOf(means))).toBeLessThan(1e-5);
  expect(Math.abs(result.loss - loss)).toBeLessThan(1e-5);
  expect(Math.abs(meanOf(means) - loss)).toBeGreaterThan(1e-3);
});

test('bfloat16 scores are close to float32', async () => {
  const { stdout } = await evaluate(
    'FT',
    '--set',
    'model.heads=4',
    '--set',
    'training.precision=bfloat16',
    '--json',
  );
  const result = JSON.parse(stdout);
  expect(result.precision).toBe('bfloat16');
  const difference = Math.abs(result.loss - scoresOf('FT').loss);
  expect(difference).toBeLessThan(0.02);
  expect(difference).toBeGreaterThan(1e-6);
});

test('images of another size have the scores of weights converted for that size', async () => {
  const size = ['--set', 'model.image_size=56'];
  const direct = await evaluate('FT', '--set', 'model.heads=4', ...size, '--json');
  expect(direct.stderr).toContain('position embedding of 28 px images, resized for 56 px\n');
  const out = join(folder, '56.safetensors');
  await cli(['convert', goldenPath('ckpt/FT.pth'), out, '--to', 'deep-incubation', '--resize', '56']);
  const converted = await cli(['eval', out, ...data, '--set', 'model.heads=4', '--json']);
  expect(converted.stderr).not.toContain('position embedding');
  const [a, b] = [direct, converted].map(({ stdout }) => JSON.parse(stdout));
  expect(a.model).toEqual(b.model);
  expect(a.model.image_size).toBe(56);
  expect([a.loss, a.top1, a.top5]).toEqual([b.loss, b.top1, b.top5]);
  const other = await evaluate('FT', '--set', 'model.heads=4', '--set', 'model.image_size=30');
  expect(other).toMatchObject({ code: 2, stdout: '' });
  expect(other.stderr).toContain('model.patch_size 4 does not divide model.image_size 30');
});

test("a folder in timm's layout: crop, mean and deviation come from its config.json", async () => {
  const timm = join(folder, 'timm');
  const weights = join(timm, 'model.safetensors');
  expect((await cli(['convert', goldenPath('ckpt/FT.pth'), weights, '--to', 'timm'])).code).toBe(0);
  const half = [0.5, 0.5, 0.5];
  const config = {
    architecture: 'vit_tiny_patch4_28',
    num_classes: 10,
    num_features: 64,
    global_pool: 'token',
    pretrained_cfg: {
      input_size: [3, 28, 28],
      fixed_input_size: true,
      mean: half,
      std: half,
      interpolation: 'bilinear',
      crop_pct: 0.9,
      crop_mode: 'center',
    },
  };
  writeFileSync(join(timm, 'config.json'), JSON.stringify(config));
  const shared = ['--set', 'model.heads=4', '--set', 'model.image_size=56', '--json'];
  const reported = await cli(['eval', timm, ...data, ...shared]);
  expect(reported.stderr).toContain('assumed: bicubic resize and a centre crop (its config.json says ');
  const ofOurs = async (...settings: string[]) => {
    const { stdout } = await evaluate('FT', ...shared, ...settings.flatMap((each) => ['--set', each]));
    return JSON.parse(stdout);
  };
  const normalised = ['data.mean=[0.5, 0.5, 0.5]', 'data.std=[0.5, 0.5, 0.5]'];
  const [same, other] = [await ofOurs(...normalised, 'data.eval_crop=0.9'), await ofOurs(...normalised)];
  const result = JSON.parse(reported.stdout);
  expect([result.loss, result.eval_crop]).toEqual([same.loss, 0.9]);
  expect(other.eval_crop).toBe(0.875);
  expect(Math.abs(other.loss - same.loss)).toBeGreaterThan(1e-3);
});

describe('a model that states more than its weights show', () => {
  const out = join(folder, 'vit');
  const files = () => ({
    'vit/model.safetensors': readFileSync(join(out, 'model.safetensors')),
    'vit/config.json': readFileSync(join(out, 'config.json')),
  });
  const name = 'hf:someone/vits/vit/model.safetensors';

  beforeAll(async () => {
    const args = ['--to', 'huggingface', '--set', 'model.heads=4'];
    expect((await cli(['convert', goldenPath('ckpt/FT.pth'), out, ...args])).code).toBe(0);
  });

  test("the number of heads comes from Hugging Face's config.json", async () => {
    const { code, stdout, stderr } = await cli(['eval', out, ...data, '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: ASSUMED_IMAGES });
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ top1: scoresOf('FT').top1, model: { heads: 4, depths: [8] } });
    expect(Math.abs(result.loss - scoresOf('FT').loss)).toBeLessThan(1e-5);
  });

  test('from the hub: downloaded once, then read from the cache', async () => {
    const hub = await startFakeHub(files());
    const env = { DEEP_INCUBATION_CACHE: join(folder, 'cache'), HF_ENDPOINT: hub.address, HF_TOKEN: '' };
    const args = ['eval', name, ...data, '--json'];
    try {
      const first = await cli(args, { env });
      expect(first.stderr).toMatch(
        /^downloading vit\/config\.json, .*\ndownloading vit\/model\.safetensors, 1\.\d+ MiB\nassumed: mean [^\n]*\nassumed: standard deviation [^\n]*\n$/,
      );
      const { checkpoint, top1, loss } = JSON.parse(first.stdout);
      expect({ checkpoint, top1 }).toEqual({ checkpoint: name, top1: scoresOf('FT').top1 });
      hub.requests.length = 0;
      const inspected = await cli(['inspect', name, '--json'], { env });
      expect(JSON.parse(inspected.stdout)).toMatchObject({
        checkpoint: name,
        layout: 'huggingface',
        hints: { heads: 4 },
      });
      expect(hub.requests).toEqual([]);
      hub.close();
      const second = await cli(args, { env: { ...env, HF_HUB_OFFLINE: '1' } });
      expect(second.stderr).toBe(ASSUMED_IMAGES);
      expect(JSON.parse(second.stdout).loss).toBe(loss);
    } finally {
      hub.close();
    }
  });

  test('from the hub, stopped: no partial file is left', async () => {
    const hub = await startFakeHub(files());
    Object.assign(hub.faults, { breakAfter: 100_000, stalls: true });
    const cache = join(folder, 'cache-stopped');
    const env = { DEEP_INCUBATION_CACHE: cache, HF_ENDPOINT: hub.address, HF_TOKEN: '' };
    const kept = () => (existsSync(cache) ? readdirSync(cache, { recursive: true }).map(String) : []);
    try {
      const { process: child, ended } = start(['inspect', name], { env });
      await until(() => kept().some((path) => path.includes('.tmp-model.safetensors')), 'the download');
      child.kill('SIGINT');
      const { code, stdout, stderr } = await ended;
      expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
      expect(stderr).toContain(`error: the download of ${name} was interrupted\n`);
      expect(kept().filter((path) => path.includes('model.safetensors'))).toEqual([]);
    } finally {
      hub.close();
    }
  });

  test('missing on the hub, or the hub does not answer', async () => {
    const env = {
      DEEP_INCUBATION_CACHE: join(folder, 'cache-2'),
      HF_ENDPOINT: 'http://127.0.0.1:9',
      HF_TOKEN: '',
    };
    const unreachable = await cli(['eval', 'hf:someone/vits/x.pth', ...data], { env });
    expect(unreachable).toMatchObject({ code: 1, stdout: '' });
    expect(unreachable.stderr).toMatch(
      /^error: hf:someone\/vits\/x\.pth: http:\S+ cannot be reached \(.+\)\n {2}hint: .*\n$/,
    );
    const unnamed = await cli(['inspect', 'hf:someone'], { env });
    expect(unnamed).toMatchObject({ code: 2, stdout: '' });
    expect(unnamed.stderr).toContain('hf:someone is not a valid name of a file on the hub');
  });
});

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** From the logits that the official code computed. */
function scoresOf(name: string): { losses: number[]; loss: number; top1: number; top5: number } {
  const tensors = goldenTensors('b_batch16.safetensors');
  const of = (key: string) => numbers(tensors.get(key) as TensorData);
  const labels = of('labels');
  const logits = of(`logits.${name}`);
  const rows = labels.map((label, i) => {
    const row = logits.slice(10 * i, 10 * (i + 1));
    const place = row.filter((value) => value > row[label]).length;
    const loss = Math.log(row.reduce((sum, value) => sum + Math.exp(value - row[label]), 0));
    return { loss, place };
  });
  const percent = (count: number) => (100 * rows.filter(({ place }) => place < count).length) / rows.length;
  const losses = rows.map(({ loss }) => loss);
  return { losses, loss: meanOf(losses), top1: percent(1), top5: percent(5) };
}

/** Labels, and the class with the largest logit. */
function guessesOf(name: string): { labels: number[]; guesses: number[] } {
  const tensors = goldenTensors('b_batch16.safetensors');
  const of = (key: string) => numbers(tensors.get(key) as TensorData);
  const labels = of('labels');
  const logits = of(`logits.${name}`);
  const guesses = labels.map((_, i) => {
    const row = logits.slice(10 * i, 10 * (i + 1));
    return row.indexOf(Math.max(...row));
  });
  return { labels, guesses };
}
