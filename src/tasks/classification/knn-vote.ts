import type { Neighbours } from './knn.js';

/** How the k nearest neighbours determine the class of an image. */
export type Vote =
  /** One vote each, as scikit-learn's `KNeighborsClassifier`. */
  | { readonly kind: 'majority' }
  /** exp(similarity / temperature) each, as DINO's evaluation. Only for cosine similarities. */
  | { readonly kind: 'weighted'; readonly temperature: number };

/**
 * The votes for each class: [Q, classes]. Only the `k` nearest neighbours vote.
 *
 * @example
 * const found = { k: 2, similarities: Float64Array.of(0.9, 0.5), labels: Int32Array.of(1, 0) };
 * votes(found, { k: 2, classes: 2, vote: { kind: 'majority' } }); // [1, 1]
 */
export function votes(
  found: Neighbours,
  { k, classes, vote }: { readonly k: number; readonly classes: number; readonly vote: Vote },
): Float64Array {
  const queries = found.labels.length / found.k;
  const result = new Float64Array(queries * classes);
  for (let query = 0; query < queries; query++) {
    for (let rank = 0; rank < k; rank++) {
      const at = query * found.k + rank;
      const weight = vote.kind === 'majority' ? 1 : Math.exp(found.similarities[at] / vote.temperature);
      result[query * classes + found.labels[at]] += weight;
    }
  }
  return result;
}

/**
 * The numbers of images whose target has the highest score, and one of the five highest. Of classes with equal scores, the first one counts as more likely.
 * @param scores [Q, classes]
 * @param above classes with scores up to this one are not predicted. Default 0: without votes.
 */
export function topHits(
  scores: Float64Array,
  targets: Int32Array,
  { classes, above = 0 }: { readonly classes: number; readonly above?: number },
): [first: number, firstFive: number] {
  let first = 0;
  let firstFive = 0;
  for (const [query, target] of targets.entries()) {
    const row = scores.subarray(query * classes, (query + 1) * classes);
    const own = row[target];
    if (!(own > above)) continue;
    let rank = 0;
    for (let label = 0; label < classes; label++) {
      if (row[label] > own || (row[label] === own && label < target)) rank++;
    }
    if (rank === 0) first++;
    if (rank < 5) firstFive++;
  }
  return [first, firstFive];
}
