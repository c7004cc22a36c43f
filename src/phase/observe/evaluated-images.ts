import type { Batch } from '../../data/loader/batch.js';
import type { Predictions } from '../../training/task.js';
import type { Planar } from './image-sheet.js';

/** An evaluated image that is shown to the user. */
export interface JudgedImage {
  readonly index: number;
  readonly target: number;
  readonly predictions: readonly { readonly label: number; readonly probability: number }[];
}

/**
 * Keeps a few images of an evaluation: misclassified images with the most confident predictions, then correctly classified
 * images with the least confident predictions. Keeps one image of each class, and more only if there is room.
 */
export interface EvaluatedImages {
  add(batch: Batch, predictions: Predictions): void;
  /** The kept images, misclassified ones first. */
  found(): { readonly pixels: Planar; readonly images: readonly JudgedImage[] } | undefined;
}

interface Kept extends JudgedImage {
  readonly rank: number;
  readonly pixels: Uint8Array;
}

export function evaluatedImages(most: number): EvaluatedImages {
  // `firsts` has at most one image of each class, `others` has further images.
  let firsts: Kept[] = [];
  let others: Kept[] = [];
  const best = (images: readonly Kept[]) => images.toSorted((a, b) => b.rank - a.rank).slice(0, most);
  const keep = (image: Kept) => {
    const rival = firsts.find(({ target }) => target === image.target);
    if (rival === undefined || image.rank > rival.rank) {
      const ranked = firsts
        .filter((each) => each !== rival)
        .concat(image)
        .toSorted((a, b) => b.rank - a.rank);
      firsts = ranked.slice(0, most);
      others = best([...others, ...(rival ? [rival] : []), ...ranked.slice(most)]);
    } else {
      others = best([...others, image]);
    }
  };
  let shape: Pick<Planar, 'channels' | 'height' | 'width'> | undefined;
  return {
    add: (batch, { k, labels, classes, probabilities }) => {
      if (most === 0) return;
      const { channels, height, width } = batch;
      shape ??= { channels, height, width };
      if (shape.channels !== channels || shape.height !== height || shape.width !== width) return;
      const length = channels * height * width;
      for (const [image, target] of labels.entries()) {
        const isWrong = classes[image * k] !== target;
        const sureness = probabilities[image * k] || 0;
        const rank = isWrong ? 1 + sureness : 1 - sureness;
        // Skip an image that is neither the best of its class nor good enough for `others`.
        const rival = firsts.find((each) => each.target === target);
        const least = Math.min(others[most - 1]?.rank ?? -1, (rival ?? firsts[most - 1])?.rank ?? -1);
        if (rank <= least) continue;
        const predictions = Array.from({ length: k }, (_, place) => ({
          label: classes[image * k + place],
          probability: probabilities[image * k + place],
        }));
        const pixels = batch.images.slice(image * length, (image + 1) * length);
        keep({ rank, index: batch.indices[image], target, predictions, pixels });
      }
    },
    found: () => {
      const kept = best([...firsts, ...others.slice(0, most - firsts.length)]);
      if (shape === undefined || kept.length === 0) return undefined;
      const images = new Uint8Array(kept.length * kept[0].pixels.length);
      for (const [slot, { pixels }] of kept.entries()) images.set(pixels, slot * pixels.length);
      return { pixels: { ...shape, size: kept.length, images }, images: kept };
    },
  };
}
