/**
 * Writes four classes of Fashion-MNIST as a folder of JPEGs: 250 images of each class for training and 50 for validation,
 * enlarged to 80 x 80 px. Needs `npm run setup` or `npm run demo` first, which download Fashion-MNIST.
 *
 *   npm run example:clothes            to data/clothes
 *   npm run example:clothes -- FOLDER
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { FASHION_MNIST_CLASSES, fashionMnist } from '../dist/data/formats/idx.js';
import { cacheRoot } from '../scripts/lib/paths.mjs';

const CLASSES = { bag: 'Bag', pullover: 'Pullover', sneaker: 'Sneaker', trouser: 'Trouser' };
const COUNTS = { train: 250, val: 50 };
const SIDE = 80;

const folder = process.argv[2] ?? 'data/clothes';
const images = fashionMnist(join(cacheRoot(process.env), 'fashion-mnist'));
for (const [split, count] of Object.entries(COUNTS)) {
  for (const [name, title] of Object.entries(CLASSES)) await writeClass(split, name, title, count);
}
console.log(`${folder}: 1,200 images of 4 classes`);

async function writeClass(split, name, title, count) {
  const { length, label, source } = images[split];
  const wanted = FASHION_MNIST_CLASSES.indexOf(title);
  const found = Array.from({ length }, (_, i) => i).filter((i) => label(i) === wanted);
  mkdirSync(join(folder, split, name), { recursive: true });
  for (const i of found.slice(0, count)) {
    const { width, height, data } = source(i);
    await sharp(data, { raw: { width, height, channels: 1 } })
      .resize(SIDE, SIDE)
      .jpeg({ quality: 90 })
      .toFile(join(folder, split, name, `${i}.jpg`));
  }
}
