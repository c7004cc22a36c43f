// A stand-in for ImageNet made of a few photographs, to try its recipes on: random crops, mirrored and recoloured,
// each class with its own colours, so that the classes can be learned.
//
//   node bench/imagenet/stand-in.mjs --out DIR [--classes 1000] [--train 4] [--val 1] [--width 500] PHOTO...
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';

const { values, positionals: photos } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string' },
    classes: { type: 'string', default: '1000' },
    train: { type: 'string', default: '4' },
    val: { type: 'string', default: '1' },
    width: { type: 'string', default: '500' },
  },
});
if (values.out === undefined || photos.length === 0) {
  console.error('usage: stand-in.mjs --out DIR [--classes N] [--train N] [--val N] [--width W] PHOTO...');
  process.exit(2);
}
const [classes, train, val, width] = [values.classes, values.train, values.val, values.width].map(Number);

// Mulberry32: the same pictures every time.
let state = 1;
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

const sources = await Promise.all(
  photos.map(async (file) => {
    const { data, info } = await sharp(file)
      .flatten()
      .toColourspace('srgb')
      .png()
      .toBuffer({ resolveWithObject: true });
    return { data, width: info.width, height: info.height };
  }),
);

for (let label = 0; label < classes; label++) {
  const hue = Math.floor((360 * label) / classes);
  const name = `n${String(label).padStart(8, '0')}`;
  for (const [part, count] of [
    ['train', train],
    ['val', val],
  ]) {
    const folder = join(values.out, part, name);
    mkdirSync(folder, { recursive: true });
    for (let i = 0; i < count; i++) {
      const photo = sources[Math.floor(random() * sources.length)];
      const share = 0.5 + 0.5 * random();
      const [w, h] = [photo.width, photo.height].map((side) => Math.max(1, Math.floor(side * share)));
      const left = Math.floor(random() * (photo.width - w + 1));
      const top = Math.floor(random() * (photo.height - h + 1));
      const image = sharp(photo.data).extract({ left, top, width: w, height: h });
      const height = Math.round(width * (random() < 0.3 ? 4 / 3 : 3 / 4));
      await image
        .resize(width, height, { fit: 'fill' })
        .flop(random() < 0.5)
        .modulate({ hue })
        .jpeg({ quality: 92 })
        .toFile(join(folder, `${name}_${i}.JPEG`));
    }
  }
}
