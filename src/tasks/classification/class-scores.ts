import type { Confusion } from '../../run/confusion.js';

/** Accuracy on one class. */
interface ClassScore {
  readonly class: number;
  /** Absent if classes have no names. */
  readonly name?: string;
  /** Evaluated images of the class. */
  readonly images: number;
  /** Percentage of these images that are predicted correctly. */
  readonly top1: number;
}

type Counts = Pick<Confusion, 'names' | 'counts'>;

/** Scores of all classes that have images, sorted by label. */
export function classScores({ names, counts }: Counts): ClassScore[] {
  const totals = new Map<number, { images: number; right: number }>();
  for (const [target, prediction, images] of counts) {
    const total = totals.get(target) ?? { images: 0, right: 0 };
    totals.set(target, {
      images: total.images + images,
      right: total.right + (target === prediction ? images : 0),
    });
  }
  return [...totals]
    .filter(([, { images }]) => images > 0)
    .sort(([a], [b]) => a - b)
    .map(([label, { images, right }]) => ({
      class: label,
      ...(names?.[label] !== undefined && { name: names[label] }),
      images,
      top1: (100 * right) / images,
    }));
}

/** The accuracy on a class as text. */
export function classAccuracy({ top1 }: ClassScore): string {
  return `${top1.toFixed(2)} %`;
}

/** At most `most` classes with the lowest accuracy, the worst first. */
export function worstClasses(counts: Counts, most: number): ClassScore[] {
  return classScores(counts)
    .sort((a, b) => a.top1 - b.top1 || b.images - a.images)
    .slice(0, most);
}

/** Wrong predictions by pair of classes, the pairs with most images first. */
export function confusions({ counts }: Counts, most = counts.length): Confusion['counts'] {
  return counts
    .filter(([target, prediction]) => target !== prediction)
    .sort((a, b) => b[2] - a[2] || a[0] - b[0] || a[1] - b[1])
    .slice(0, most);
}

/** The name of a class, or its number if it has none. */
export function labelName({ names }: Pick<Confusion, 'names'>, label: number): string {
  return names?.[label] ?? String(label);
}
