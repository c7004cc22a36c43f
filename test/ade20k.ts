import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

const NAMES = ['dark ground', 'bright, box', 'red, patch'];

/** Number of classes of the small data set. */
export const ADE20K_CLASSES = NAMES.length;

/** A small data set in ADE20K's layout: a red and a white rectangle on dark noise, in images of several sizes. */
export async function writeAde20k(
  root: string,
  { train, val }: { train: number; val: number },
): Promise<void> {
  mkdirSync(root, { recursive: true });
  const rows = NAMES.map((name, i) => `${i + 1}\t0.${i}123\t${10 * i + 1}\t${i}\t\t0\t\t${name}`);
  writeFileSync(
    join(root, 'objectInfo150.txt'),
    `${['Idx\tRatio\tTrain\tVal\tStuff\tName', ...rows].join('\n')}\n`,
  );
  for (const [part, count, first] of [
    ['training', train, 0],
    ['validation', val, 1000],
  ] as const) {
    for (const kind of ['images', 'annotations']) mkdirSync(join(root, kind, part), { recursive: true });
    for (let i = 0; i < count; i++) await writeScene(root, part, first + i);
  }
}

async function writeScene(root: string, part: string, seed: number): Promise<void> {
  const width = 40 + ((seed * 7) % 23);
  const height = 36 + ((seed * 11) % 19);
  const pixels = new Uint8Array(3 * width * height);
  const labels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      const noise = (at * 7919 + seed * 104_729) % 60;
      const isBox = x > 4 + (seed % 5) && x < width / 2 && y > 6 && y < height / 2 + (seed % 7);
      const isRed = x > width / 2 && x < width - 4 && y > height / 3 && y < height - 3 - (seed % 4);
      const colour = isBox ? [200, 190, 210] : isRed ? [180, 20, 30] : [10, 20, 15];
      for (const [channel, value] of colour.entries())
        pixels[3 * at + channel] = Math.min(255, value + noise / 2);
      // The first lines of each image have no label.
      labels[at] = y < 2 ? 0 : isBox ? 2 : isRed ? 3 : 1;
    }
  }
  const name = `ADE_${part === 'training' ? 'train' : 'val'}_${String(seed).padStart(8, '0')}`;
  await sharp(pixels, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 95 })
    .toFile(join(root, 'images', part, `${name}.jpg`));
  await sharp(labels, { raw: { width, height, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toFile(join(root, 'annotations', part, `${name}.png`));
}
