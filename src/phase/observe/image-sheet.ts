import type { Batch } from '../../data/dataset.js';
import type { SummaryImage } from '../../run/tensorboard/events.js';

/** 8-bit images of one size, planar as in a batch. */
export type Planar = Pick<Batch, 'size' | 'channels' | 'height' | 'width' | 'images'>;

/** The first `shown` images in a grid with `columns` images per row. Only for 1 or 3 channels. */
export async function sheetOf(
  { size, channels, height, width, images }: Planar,
  { shown, columns: most }: { readonly shown: number; readonly columns: number },
): Promise<SummaryImage> {
  const count = Math.min(size, shown);
  const columns = Math.min(most, count);
  const sheet = { width: columns * width, height: Math.ceil(count / columns) * height, channels };
  const pixels = new Uint8Array(sheet.width * sheet.height * channels);
  for (let slot = 0; slot < count; slot++) {
    const top = Math.floor(slot / columns) * height;
    const left = (slot % columns) * width;
    for (let channel = 0; channel < channels; channel++) {
      const plane = (slot * channels + channel) * height * width;
      for (let at = 0; at < height * width; at++) {
        const place = (top + Math.floor(at / width)) * sheet.width + left + (at % width);
        pixels[place * channels + channel] = images[plane + at];
      }
    }
  }
  const { default: sharp } = await import('sharp');
  const png = sharp(pixels, { raw: { ...sheet, channels: channels as 1 | 3 } });
  return { ...sheet, png: await (channels === 1 ? png.toColourspace('b-w') : png).png().toBuffer() };
}

/** The same images, shrunk so that no side is longer than `most` pixels. */
export async function shrunk(planar: Planar, most: number): Promise<Planar> {
  const factor = most / Math.max(planar.height, planar.width);
  if (factor >= 1) return planar;
  const [height, width] = [planar.height, planar.width].map((side) => Math.max(1, Math.round(side * factor)));
  const { default: sharp } = await import('sharp');
  const raw = { width: planar.width, height: planar.height, channels: 1 } as const;
  const area = planar.height * planar.width;
  const images = new Uint8Array(planar.size * planar.channels * height * width);
  for (let plane = 0; plane < planar.size * planar.channels; plane++) {
    const pixels = planar.images.subarray(plane * area, (plane + 1) * area);
    const small = await sharp(pixels, { raw })
      .resize(width, height, { fit: 'fill' })
      .extractChannel(0)
      .raw()
      .toBuffer();
    images.set(small, plane * height * width);
  }
  return { ...planar, height, width, images };
}
