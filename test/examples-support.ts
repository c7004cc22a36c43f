import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

/** Number of classes, and side in pixels, of the images that the examples are tried on. */
export const [CLASSES, SIDE] = [10, 28];

/** Writes FOLDER/{train,val}/<class>/*.png: stripes whose width is the class, moved from image to image. */
export async function writeStripes(folder: string): Promise<void> {
  for (const [split, count] of Object.entries({ train: 16, val: 2 })) {
    for (let label = 0; label < CLASSES; label++) {
      const of = join(folder, split, String(label));
      mkdirSync(of, { recursive: true });
      for (let i = 0; i < count; i++) {
        const pattern = (_: unknown, at: number) => 255 * (Math.floor(((at % SIDE) + i) / (label + 1)) % 2);
        const data = Uint8Array.from({ length: SIDE * SIDE }, pattern);
        await sharp(data, { raw: { width: SIDE, height: SIDE, channels: 1 } })
          .png()
          .toFile(join(of, `${i}.png`));
      }
    }
  }
}

const squeezed = (code: string) => code.replace(/\n\n+/g, '\n').trim();

/** The code of an example, without empty lines. */
export function sourceOf(example: string): string {
  return squeezed(readFileSync(new URL(`../examples/${example}`, import.meta.url), 'utf8'));
}

/** The TypeScript that docs/own-model.md shows in these sections, without empty lines; '' is the part before the first section. */
export function shownIn(...titles: readonly string[]): string {
  const page = readFileSync(new URL('../docs/own-model.md', import.meta.url), 'utf8');
  const sections = page.split(/^## /m).map((section, i) => {
    const end = section.indexOf('\n');
    return i === 0 ? ['', section] : [section.slice(0, end), section.slice(end)];
  });
  const text = titles.map((title) => sections.find(([name]) => name === title)?.[1] ?? '').join('\n');
  return squeezed([...text.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code).join('\n'));
}
