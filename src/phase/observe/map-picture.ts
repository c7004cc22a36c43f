import { IGNORED } from '../../data/dataset.js';
import type { Planes } from '../../data/label-maps/resize.js';
import { blend, type Panel, panelOf, panelsPng, rgbOf } from './panels.js';

/** Share of a class's colour in a pixel. */
const OPACITY = 0.55;

export interface Picture {
  /** The panels side by side: the image, its labels and the prediction, both over the image. */
  readonly png: Uint8Array;
  /** Size of a panel in pixels. */
  readonly width: number;
  readonly height: number;
  /** The classes that are labelled or predicted, the most frequent first. */
  readonly classes: readonly number[];
}

/**
 * Draws the labels and the prediction of one image. Pixels without a label show the image.
 * @param labels class of each pixel, or `IGNORED`
 */
export async function drawMaps(image: Planes, labels: Uint8Array, prediction: Uint8Array): Promise<Picture> {
  const base = panelOf(image);
  const png = await panelsPng([base, ...[labels, prediction].map((map) => coloured(base, map, image))]);
  return { png, width: base.width, height: base.height, classes: classesIn(labels, prediction) };
}

/** A panel with the classes of a map of another size over it. */
function coloured(base: Panel, map: Uint8Array, from: Pick<Planes, 'width' | 'height'>): Panel {
  const panel = { ...base, pixels: Uint8Array.from(base.pixels) };
  for (let y = 0; y < base.height; y++) {
    const row = Math.floor((y * from.height) / base.height) * from.width;
    for (let x = 0; x < base.width; x++) {
      const label = map[row + Math.floor((x * from.width) / base.width)];
      if (label !== IGNORED) blend(panel, y * base.width + x, rgbOf(label), OPACITY);
    }
  }
  return panel;
}

function classesIn(...maps: readonly Uint8Array[]): number[] {
  const counts = new Int32Array(256);
  for (const map of maps) for (const label of map) counts[label]++;
  counts[IGNORED] = 0;
  const present = [...counts.keys()].filter((label) => counts[label] > 0);
  return present.sort((a, b) => counts[b] - counts[a]);
}
