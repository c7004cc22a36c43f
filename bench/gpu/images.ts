import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { randomStream } from '../../src/base/random.js';
import { report } from './report.js';
import { imagesFolder, jpegsFolder, settings } from './settings.js';

const CLASSES = 10;

/** Creates a folder of small PNGs for training, and a folder of JPEGs of ImageNet size. Every call produces the same pixels. */
export async function images(): Promise<void> {
  if (existsSync(join(settings.work, 'images.done'))) return;
  const [train, val, jpegs] = settings.isTiny ? [16, 4, 4] : [128, 32, 64];
  await Promise.all([pngs('train', train), pngs('val', val)]);
  const files = await Promise.all(Array.from({ length: jpegs }, (_, i) => jpeg(i)));
  mkdirSync(join(settings.work, 'images.done'));
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  report({ section: 'images', pngs: CLASSES * (train + val), jpegs, jpeg_kb: bytes / jpegs / 1000 });
}

/** Ten classes that differ in the direction of their stripes. */
async function pngs(part: string, each: number): Promise<void> {
  const side = 32;
  const random = randomStream([0, 'kit', part]);
  for (let label = 0; label < CLASSES; label++) {
    const [dx, dy] = [Math.cos((Math.PI * label) / CLASSES), Math.sin((Math.PI * label) / CLASSES)];
    for (let i = 0; i < each; i++) {
      const phase = 6.3 * random.uniform();
      const colour = [0, 1, 2].map(() => 0.5 + 0.5 * random.uniform());
      const pixels = Uint8Array.from({ length: 3 * side * side }, (_, j) => {
        const [x, y] = [Math.floor(j / 3) % side, Math.floor(j / 3 / side)];
        const wave = Math.sin(0.7 * (x * dx + y * dy) + phase);
        return Math.max(0, Math.min(255, 127 + 60 * wave * colour[j % 3] + 60 * (random.uniform() - 0.5)));
      });
      const file = join(imagesFolder, part, `class-${label}`, `${i}.png`);
      mkdirSync(dirname(file), { recursive: true });
      await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
        .png({ compressionLevel: 1 })
        .toFile(file);
    }
  }
}

/** A JPEG of soft shapes with grain, about 100 kB. */
async function jpeg(i: number): Promise<string> {
  const [width, height] = [500, 375];
  const random = randomStream([0, 'kit', 'jpeg', i]);
  const coarse = Uint8Array.from({ length: 3 * 32 * 24 }, () => random.integer(0, 255));
  const smooth = await sharp(coarse, { raw: { width: 32, height: 24, channels: 3 } })
    .resize(width, height, { kernel: 'cubic', fit: 'fill' })
    .raw()
    .toBuffer();
  const grainy = smooth.map((value) => Math.max(0, Math.min(255, value + 40 * (random.uniform() - 0.5))));
  const file = join(jpegsFolder, `class-${i % 2}`, `${i}.jpg`);
  mkdirSync(dirname(file), { recursive: true });
  await sharp(grainy, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 90 })
    .toFile(file);
  return file;
}
