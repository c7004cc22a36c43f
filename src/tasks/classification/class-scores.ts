import type { Confusion } from '../../run/confusion.js';

/** How well one class is told. */
export interface ClassScore {
  readonly class: number;
  /** Absent where classes are numbers alone. */
  readonly name?: string;
  /** Judged images of the class. */
  readonly images: number;
  /** Per cent of them that are taken for it. */
  readonly top1: number;
}

type Counts = Pick<Confusion, 'names' | 'counts'>;

/** Of every class that has images, by label. */
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

/** The classes that are told worst, the worst first. */
export function worstClasses(counts: Counts, most: number): ClassScore[] {
  return classScores(counts)
    .sort((a, b) => a.top1 - b.top1 || b.images - a.images)
    .slice(0, most);
}

/** Pairs of classes that are taken for one another, the most images first. */
export function confusions({ counts }: Counts, most = counts.length): Confusion['counts'] {
  return counts
    .filter(([target, prediction]) => target !== prediction)
    .sort((a, b) => b[2] - a[2] || a[0] - b[0] || a[1] - b[1])
    .slice(0, most);
}

/** What a class is called: its name, or its number. */
export function className({ names }: Pick<Confusion, 'names'>, label: number): string {
  return names?.[label] ?? String(label);
}
