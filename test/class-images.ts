import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

/** Colours that a small model can distinguish after a few steps. */
const COLOURS = [
  [220, 30, 30],
  [30, 220, 30],
  [30, 30, 220],
  [210, 210, 40],
] as const;

/**
 * A folder of 16 x 16 PNGs for each class in `root`.
 *
 * @param colours the class's colour, an index into a short list
 */
export async function writeClasses(
  root: string,
  colours: Readonly<Record<string, number>>,
  images: number,
): Promise<void> {
  for (const [name, colour] of Object.entries(colours)) {
    mkdirSync(join(root, name), { recursive: true });
    for (let i = 0; i < images; i++) {
      const data = Uint8Array.from(
        { length: 16 * 16 * 3 },
        (_, j) => COLOURS[colour][j % 3] + ((j * 7919 + i * 104_729) % 30) - 15,
      );
      await sharp(data, { raw: { width: 16, height: 16, channels: 3 } })
        .png()
        .toFile(join(root, name, `${i}.png`));
    }
  }
}

/** One module trained end to end: enough to distinguish the colours. */
export function colourRecipe(images: string, classes: number): object {
  return {
    name: 'colours',
    model: { image_size: 16, patch_size: 8, classes, width: 16, depth: 2, heads: 2 },
    incubation: 'none',
    data: { format: 'folder', path: images, augment: 'none' },
    training: {
      epochs: 12,
      batch_size: 8,
      label_smoothing: 0,
      eval_every: 12,
      optimizer: { lr: 0.01, lr_batch: null },
      schedule: { kind: 'step-cosine', warmup: 0 },
    },
    phases: { E2E: { epochs: 12 } },
    run: { device: 'cpu', threads: 1, parallel: 1 },
  };
}
