import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { stringify } from 'yaml';
import { assemble } from '../src/method/assemble.js';
import { writeModelFile } from '../src/models/model-file/model-file-write.js';
import { vit } from '../src/models/vit/vit.js';
import { weightsOf } from '../src/nn/weights.js';
import { compile } from '../src/recipe/compile.js';
import { readRecipe } from '../src/recipe/recipe.js';
import type { Recipe } from '../src/recipe/recipe-schema.js';
import { Generator } from '../src/torch/random.js';
import { ADE20K_CLASSES, writeAde20k } from './ade20k.js';
import { COCO_CATEGORIES, writeCoco } from './coco.js';

// A folder in which the commands of the pages run unchanged within seconds: it has a few small images instead of data
// sets, small random models instead of the released ones, and reduced recipes.

const root = fileURLToPath(new URL('..', import.meta.url));

/** Classes that replace the 1000 of ImageNet. */
const SYNSETS = ['n01440764', 'n01443537', 'n01484850', 'n01491361'];
const FLOWERS = ['0_daisy', '1_rose', '2_tulip'];
const CLOTHES = ['bag', 'pullover', 'sneaker', 'trouser'];

/** As many images as repeated augmentation needs. */
const TRAIN_IMAGES = 256;
const VAL_IMAGES = 8;

/** Replaces 224 px; other sizes get 4 x 4 patches instead of 3 x 3. */
const sizeOf = (pixels: number): number => (pixels === 224 ? 48 : 64);

/** The width of a published model, so that the number of heads is known. */
const GEOMETRY = { patch_size: 16, width: 192, heads: 3, mlp_ratio: 1 };
const DEPTH = 12;

/** `deep-incubation` is in `bin`, the hub's files in `cache`, recipes as they are in `as-written`. */
export async function makeStandIn(folder: string): Promise<NodeJS.ProcessEnv> {
  await writeImages(join(folder, 'data/imagenet'), SYNSETS);
  writeVariants(join(folder, 'data'));
  await writeImages(join(folder, 'data/flowers'), FLOWERS);
  await writeImages(join(folder, 'data/clothes'), CLOTHES);
  await writeAde20k(join(folder, 'data/ADEChallengeData2016'), { train: 8, val: 2 });
  await writeCoco(join(folder, 'data/coco'), { train: 8, val: 2 });
  writeFashionMnist(join(folder, 'cache/fashion-mnist'));
  writeReleasedModels(join(folder, 'cache/hub/nzl-thu/Deep-Incubation/main'));
  writeScript(
    join(folder, 'bin/deep-incubation'),
    `exec "${process.execPath}" "${join(root, 'dist/cli/main.js')}" "$@"`,
  );
  writeScript(join(folder, 'bin/npx'), 'exec "$@"');
  cpSync(join(root, 'recipes'), join(folder, 'as-written/recipes'), { recursive: true });
  for (const set of ['imagenet', 'ade20k', 'coco']) {
    for (const name of readdirSync(join(root, 'recipes', set))) writeSmall(folder, `recipes/${set}/${name}`);
  }
  writeSmall(folder, 'recipes/demo.yaml');
  writeRecipe(folder, 'my.yaml', 'extends: recipes/imagenet/vit-b.yaml\nname: my\n');
  return {
    ...process.env,
    PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
    DEEP_INCUBATION_CACHE: join(folder, 'cache'),
    HF_HUB_OFFLINE: '1',
  };
}

/** Writes a recipe of a page to `path`, as a user would. */
export function writeRecipe(folder: string, path: string, text: string): void {
  const place = join(folder, 'as-written', path);
  mkdirSync(dirname(place), { recursive: true });
  writeFileSync(place, text);
  writeSmall(folder, path);
}

/** Writes to `path` the recipe of the same name in `as-written`, with small settings. */
function writeSmall(folder: string, path: string): void {
  const place = join(folder, path);
  const original = join(folder, 'as-written', path);
  mkdirSync(dirname(place), { recursive: true });
  const text = stringify({
    extends: relative(dirname(place), original),
    ...smallSettings(readRecipe(original)),
  });
  writeFileSync(place, text);
}

const SMALL_DETECTION = {
  scale: [96, 64],
  augment: { scales: [64] },
  training: { anchors: 32, regions: 16, before_nms: 50, proposals: 40 },
  evaluation: { before_nms: 50, proposals: 40, objects: 10 },
};

/** Settings for a tiny model, and one step per phase. */
function smallSettings(recipe: Recipe): object {
  const { model, data, training, segmentation, detection } = recipe;
  const classes = segmentation ? ADE20K_CLASSES : detection ? COCO_CATEGORIES.length : model.classes;
  const phases = compile(recipe).filter(({ equalCost }) => !equalCost);
  return {
    model: {
      ...GEOMETRY,
      depth: DEPTH,
      image_size: sizeOf(model.image_size),
      classes: model.classes === 1000 ? SYNSETS.length : classes,
      ...(segmentation && { decoder: { taps: [2, 5, 8, 11], channels: 8, aux_channels: 4 } }),
      ...(detection && { decoder: { taps: [2, 5, 8, 11], window: 3, channels: 8, hidden: 16 } }),
    },
    ...(segmentation && { segmentation: { scale: [256, 64] } }),
    ...(detection && { detection: SMALL_DETECTION }),
    training: {
      ...(training.batch_size !== undefined && { batch_size: Math.max(training.batch_size / 32, 2) }),
      ...(training.total_batch && { total_batch: Math.max(training.total_batch / 32, 2) }),
    },
    ...(data.eval_images && { data: { eval_images: 10 } }),
    phases: Object.fromEntries(phases.map(({ name }) => [name.split('/')[0], { epochs: 1e-6 }])),
    // On a busy machine, threads that wait for each other take seconds.
    run: { threads: 1 },
  };
}

/** train/ and val/ with JPEGs that all differ. */
async function writeImages(folder: string, classes: readonly string[]): Promise<void> {
  for (const [label, name] of classes.entries()) {
    const background = { r: 60 * label, g: 200 - 50 * label, b: 90 };
    const image = sharp({ create: { width: 80, height: 64, channels: 3, background } });
    const jpeg = await image.jpeg().toBuffer();
    for (const [part, images] of Object.entries({ train: TRAIN_IMAGES, val: VAL_IMAGES })) {
      mkdirSync(join(folder, part, name), { recursive: true });
      for (let i = 0; i < images / classes.length; i++) {
        const comment = `${part} ${name} ${i}`;
        writeFileSync(join(folder, part, name, `${name}_${i}.JPEG`), commented(jpeg, comment));
      }
    }
  }
}

/** ImageNet's other test sets, in their layouts, from its validation images, which get their own names. */
function writeVariants(folder: string): void {
  let number = 0;
  for (const [label, synset] of SYNSETS.entries()) {
    const from = join(folder, 'imagenet/val', synset);
    for (const [variant, name] of [
      ...(label < 2 ? [['imagenet-a', synset] as const] : []),
      ['imagenet-v2', String(label)] as const,
    ]) {
      cpSync(from, join(folder, variant, name), { recursive: true });
    }
    for (const file of readdirSync(from)) {
      number++;
      renameSync(join(from, file), join(from, `ILSVRC2012_val_${String(number).padStart(8, '0')}.JPEG`));
    }
  }
  const real = Array.from({ length: number }, (_, i) => (i === 0 ? [] : [i % SYNSETS.length]));
  writeFileSync(join(folder, 'real.json'), JSON.stringify(real));
}

/** A JPEG with a comment behind its first marker. */
function commented(jpeg: Buffer, comment: string): Buffer {
  const segment = Buffer.from([0xff, 0xfe, 0, comment.length + 2]);
  return Buffer.concat([jpeg.subarray(0, 2), segment, Buffer.from(comment), jpeg.subarray(2)]);
}

/** Writes the models into the hub's cache, as after a download (see `localCheckpoint`). */
function writeReleasedModels(folder: string): void {
  for (const name of ['base', 'large', 'huge']) {
    const qkvBias = name !== 'huge';
    const whole = { qkvBias, depths: [3, 3, 3, 3] };
    writeReleased(join(folder, `pretrained/vit_${name}.pth`), { ...whole, imageSize: 48 });
    writeReleased(join(folder, `pretrained/high_res/vit_${name}.pth`), { ...whole, imageSize: 64 });
    const meta = { qkvBias, depths: [1, 1, 1, 1], imageSize: 48 };
    writeReleased(join(folder, `log_dir/PT_${name}/finished_checkpoint.pth`), meta);
  }
}

function writeReleased(
  path: string,
  { depths, imageSize, qkvBias }: { depths: readonly number[]; imageSize: number; qkvBias: boolean },
): void {
  const blueprint = vit({
    imageSize,
    patchSize: GEOMETRY.patch_size,
    channels: 3,
    classes: SYNSETS.length,
    width: GEOMETRY.width,
    depth: depths.reduce((a, b) => a + b, 0),
    heads: GEOMETRY.heads,
    mlpRatio: GEOMETRY.mlp_ratio,
    qkvBias,
    layerNormEps: 1e-6,
    classToken: true,
  });
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed(['released']) } as const;
  const { stages } = assemble(
    blueprint,
    depths,
    depths.map(() => null),
    context,
  );
  writeModelFile(path, stages.map(weightsOf), { to: 'official' });
  const { length: size } = readFileSync(path);
  writeFileSync(`${path}.hub.json`, JSON.stringify({ size, digest: { kind: 'sha256', hex: '' } }));
}

/** Grey images of 28 x 28, more than a batch of the page. */
function writeFashionMnist(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const labels = Uint8Array.from({ length: 100 }, (_, i) => i % 10);
  const header = (...numbers: number[]) => Buffer.from(Int32Array.from(numbers).buffer).swap32();
  const pixels = Buffer.alloc(labels.length * 28 * 28, 100);
  for (const part of ['train', 't10k']) {
    const images = Buffer.concat([header(0x803, labels.length, 28, 28), pixels]);
    writeFileSync(join(folder, `${part}-images-idx3-ubyte`), images);
    writeFileSync(
      join(folder, `${part}-labels-idx1-ubyte`),
      Buffer.concat([header(0x801, labels.length), labels]),
    );
  }
}

function writeScript(path: string, line: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${line}\n`);
  chmodSync(path, 0o755);
}
