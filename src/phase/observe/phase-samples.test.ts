import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeImages } from '../../../test/cli-support.js';
import type { Batch } from '../../data/dataset.js';
import { prepareRun } from '../../launch/prepare.js';
import { runRecipePhase } from '../../library/run-recipe.js';
import { defineRecipe } from '../../recipe/recipe.js';
import { latestCheckpoint } from '../../run/checkpoint-store.js';
import { confusionOf } from '../../run/confusion.js';
import { readJson, runFolder } from '../../run/run-folder.js';
import { type SampleKind, type Samples, samplesOf, samplesPath, stripPath } from '../../run/samples.js';
import { shrunk } from './image-sheet.js';
import { evaluatedImages, targetsOf } from './phase-samples.js';

const folder = mkdtempSync(join(tmpdir(), 'samples-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => writeImages(join(folder, 'images'), { train: 16, val: 4 }));

interface Setting {
  readonly samples?: number;
  readonly augment?: object | 'none';
}

async function train(name: string, { samples, augment = 'none' }: Setting): Promise<string> {
  const recipe = defineRecipe({
    name: 'tiny',
    model: { image_size: 16, patch_size: 8, classes: 2, width: 16, depth: 4, heads: 2 },
    incubation: { modules: 2 },
    data: { format: 'folder', path: join(folder, 'images'), augment } as never,
    training: { epochs: 2, batch_size: 8, log_every: 1, ema: 0.9 },
    run: { device: 'cpu', ...(samples !== undefined && { samples }) },
  });
  const runDir = join(folder, name);
  prepareRun(recipe, runDir);
  await runRecipePhase({ recipe, phase: 'PT', runDir, device: 'cpu' });
  return runDir;
}

function found(runDir: string, kind: SampleKind): { samples: Samples; strip: string } {
  const root = runFolder(runDir).phase('PT').samples;
  const samples = samplesOf(readJson(samplesPath(root, kind)));
  if (samples === undefined) throw new Error('no samples');
  return { samples, strip: stripPath(root, kind, samples.step) };
}

const files = (runDir: string) => latestCheckpoint(join(runDir, 'PT')).checkpoint?.manifest.files;

test('weights are the same with and without samples, with any augmentation', async () => {
  const augment = { mixup: 0.8, cutmix: 1, mix_prob: 1, erase: 1, crop_padding: 2 };
  const kept = await train('mixed', { augment });
  const without = await train('mixed-without', { augment, samples: 0 });
  expect(files(kept)).toBeDefined();
  expect(files(kept)).toEqual(files(without));
  expect(existsSync(runFolder(without).phase('PT').samples)).toBe(false);
  const { samples } = found(kept, 'train');
  expect(samples.images).toHaveLength(8);
  for (const { targets } of samples.images) {
    expect(targets.reduce((sum, { weight }) => sum + (weight ?? 0), 0)).toBeCloseTo(1, 12);
  }
  expect(samples.images.some(({ targets }) => targets.length === 2)).toBe(true);
});

test('without augmentation the strip has the exact pixels, and the folder is the target', async () => {
  const { samples, strip } = found(await train('plain', {}), 'train');
  const { data, info } = await sharp(strip).raw().toBuffer({ resolveWithObject: true });
  expect(info).toMatchObject({ width: 8 * 16, height: 16, channels: 3 });
  for (const [slot, { file, targets }] of samples.images.entries()) {
    expect(file).toContain(`/${targets[0].name}/`);
    const own = await sharp(file).raw().toBuffer();
    for (let y = 0; y < 16; y++) {
      const row = data.subarray((y * 128 + slot * 16) * 3, (y * 128 + slot * 16 + 16) * 3);
      expect([...row]).toEqual([...own.subarray(y * 48, (y + 1) * 48)]);
    }
  }
});

test('evaluated images: one strip, wrong predictions first', async () => {
  const runDir = await train('evaluated', {});
  const { samples, strip } = found(runDir, 'eval');
  expect(samples).toMatchObject({ step: 8, width: 16, height: 16 });
  const strips = readdirSync(join(strip, '..')).filter((name) => name.endsWith('.png'));
  expect(strips.toSorted()).toEqual(['eval-8.png', 'train-0.png']);
  const isWrong = samples.images.map(
    ({ targets, predictions }) => predictions?.[0].label !== targets[0].label,
  );
  expect(isWrong).toEqual(isWrong.toSorted((a, b) => Number(b) - Number(a)));
  const counts = confusionOf(readJson(runFolder(runDir).phase('PT').confusion))?.counts ?? [];
  const wrong = counts.reduce((sum, [a, b, images]) => sum + (a === b ? 0 : images), 0);
  expect(isWrong.filter(Boolean)).toHaveLength(wrong);
  for (const { predictions = [] } of samples.images) {
    expect(predictions.reduce((sum, { probability }) => sum + (probability ?? 0), 0)).toBeCloseTo(1, 6);
  }
});

test('large images are kept as separate small images', async () => {
  // Three images of two channels, each plane of one value.
  const size = { size: 3, channels: 2, height: 20, width: 40 };
  const images = Uint8Array.from({ length: 6 * 800 }, (_, at) => 40 * Math.floor(at / 800));
  const small = await shrunk({ ...size, images }, 10);
  expect(small).toMatchObject({ size: 3, channels: 2, height: 5, width: 10 });
  expect([...small.images]).toEqual(Array.from({ length: 6 * 50 }, (_, at) => 40 * Math.floor(at / 50)));
  expect(await shrunk({ ...size, images }, 40)).toEqual({ ...size, images });
});

test('as many as the recipe says', async () => {
  const png = readFileSync(found(await train('again', { samples: 3 }), 'eval').strip);
  expect(await sharp(png).metadata()).toMatchObject({ width: 48, height: 16 });
});

const batch = (labels: number[], mix?: Batch['mix']): Batch => ({
  size: labels.length,
  channels: 1,
  height: 1,
  width: 1,
  images: Uint8Array.from(labels, (_, i) => i),
  labels: Int32Array.from(labels),
  indices: Int32Array.from(labels, (_, i) => 100 + i),
  ...(mix && { mix }),
});

test('a mixed image has both labels with their weights; with equal labels, one', () => {
  const mixed = batch([0, 1, 1, 2], { lambda: 0.75 });
  expect(targetsOf(mixed, 0)).toEqual([
    { label: 0, weight: 0.75 },
    { label: 2, weight: 0.25 },
  ]);
  expect(targetsOf(mixed, 1)).toEqual([{ label: 1, weight: 1 }]);
});

test('the most confident mistakes are kept, then the least confident hits', () => {
  const collected = evaluatedImages(3);
  const addBatch = (labels: number[], classes: number[], probabilities: number[]) =>
    collected.add(batch(labels), {
      k: 1,
      labels: Int32Array.from(labels),
      classes: Int32Array.from(classes),
      probabilities: Float64Array.from(probabilities),
      logits: Float64Array.from(probabilities),
    });
  addBatch([0, 1], [1, 1], [0.6, 0.9]);
  addBatch([0, 1, 1], [1, 1, 1], [0.8, 0.5, Number.NaN]);
  const found = collected.found();
  expect(found?.images.map(({ index }) => index)).toEqual([100, 100, 102]);
  expect(found?.images.map(({ predictions }) => predictions[0].probability)).toEqual([0.8, 0.6, Number.NaN]);
  expect([...(found?.pixels.images ?? [])]).toEqual([0, 0, 2]);
});

test('with many mistakes each class has its most confident one, whatever their order', () => {
  const image = fc.record({
    target: fc.nat({ max: 5 }),
    taken: fc.nat({ max: 5 }),
    sure: fc.double({ min: 0.2, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(image, { minLength: 1, maxLength: 40 }), (images) => {
      const collected = evaluatedImages(4);
      for (const { target, taken, sure } of images) {
        const one = { k: 1, labels: Int32Array.of(target), classes: Int32Array.of(taken) };
        const probabilities = Float64Array.of(sure);
        collected.add(batch([target]), { ...one, probabilities, logits: probabilities });
      }
      const rank = ({ target, taken, sure }: (typeof images)[number]) =>
        target === taken ? 1 - sure : 1 + sure;
      const ranked = images.toSorted((a, b) => rank(b) - rank(a));
      const firsts = ranked.filter(
        (each, i) => ranked.findIndex(({ target }) => target === each.target) === i,
      );
      const others = ranked.filter((each) => !firsts.includes(each));
      const wanted = [...firsts, ...others].slice(0, 4).toSorted((a, b) => rank(b) - rank(a));
      const ranks = collected
        .found()
        ?.images.map(({ target, predictions: [{ label, probability }] }) =>
          rank({ target, taken: label, sure: probability }),
        );
      expect(ranks).toEqual(wanted.map(rank));
    }),
  );
});
