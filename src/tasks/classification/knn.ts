import { noGrad } from '../../torch/autograd.js';
import { tensorOperator, tensorsOperator } from '../../torch/operator.js';
import { clone, concat, matmul, mul, normalize, slice, sub, to, transpose } from '../../torch/ops.js';
import { keep, scope } from '../../torch/scope.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { rowRanges } from './feature-rows.js';
import type { KnnMetric } from './knn-metrics.js';

const stableSort = tensorsOperator('aten::sort', 'stable');
const gather = tensorOperator('aten::gather');
const sumAlong = tensorOperator('aten::sum', 'dim_IntList');
const expandAs = tensorOperator('aten::expand_as');

/** The k nearest training rows of Q queries, nearest first. */
export interface Neighbours {
  readonly k: number;
  /** [Q, k]: cosine similarity, or minus the squared Euclidean distance. */
  readonly similarities: Float64Array;
  /** [Q, k]. */
  readonly labels: Int32Array;
}

export interface NeighbourSearchOptions {
  /** Number of features, D. */
  readonly width: number;
  readonly k: number;
  readonly metric: KnnMetric;
  /** Default cpu. */
  readonly device?: string;
}

export interface NeighbourSearch {
  /** Compares all queries with more training rows, [B, D], of these labels, [B]. */
  add(features: Float32Array, labels: Int32Array): void;
  /** @throws RangeError if there were fewer than k training rows */
  result(): Neighbours;
  /** Frees the memory on the device. */
  free(): void;
}

/** Numbers of queries and of training rows that are compared at a time. They bound the memory. */
const QUERIES = 1024;
const ROWS = 512;

/** The nearest rows so far, at most k: [Q, k], F64. */
interface Nearest {
  readonly similarities: Tensor;
  readonly labels: Tensor;
}

/**
 * An exact search for the nearest neighbours of all queries, in float64. Training rows are added in parts and not kept, so memory
 * does not grow with their number. Of equally near rows, the one that was added first counts as nearer.
 *
 * @param queries [Q, D]
 */
export function neighbourSearch(
  queries: Float32Array,
  { width, k, metric, device = 'cpu' }: NeighbourSearchOptions,
): NeighbourSearch {
  const rowsOf = (features: Float32Array, from: number, end: number) =>
    exactRows(features.subarray(from * width, end * width), width, { metric, device });
  const count = queries.length / width;
  const parts = Array.from(rowRanges(count, QUERIES), ([from, end]) => ({
    queries: scope(() => keep(rowsOf(queries, from, end))),
    nearest: undefined as Nearest | undefined,
  }));
  const freeNearest = ({ nearest }: (typeof parts)[number]) => {
    nearest?.similarities.free();
    nearest?.labels.free();
  };
  const compare = (rows: Tensor, labels: Tensor) => {
    for (const part of parts) {
      const { similarities, labels: nearest } = scope(() => {
        const next = nearestOf(
          part.nearest,
          { similarities: similarity(part.queries, rows, metric), labels },
          k,
        );
        return { similarities: keep(next.similarities), labels: keep(next.labels) };
      });
      freeNearest(part);
      part.nearest = { similarities, labels: nearest };
    }
  };
  return {
    add(features, labels) {
      for (const [from, end] of rowRanges(labels.length, ROWS)) {
        scope(() =>
          noGrad(() => {
            const numbers = fromArray(Float64Array.from(labels.subarray(from, end)), [1, end - from], device);
            compare(rowsOf(features, from, end), numbers);
          }),
        );
      }
    },
    result() {
      const similarities = new Float64Array(count * k);
      const labels = new Int32Array(count * k);
      for (const [i, { nearest }] of parts.entries()) {
        if (nearest === undefined || nearest.labels.shape[1] < k)
          throw new RangeError(`fewer than ${k} training rows`);
        similarities.set(nearest.similarities.toFloat64Array(), i * QUERIES * k);
        labels.set(Int32Array.from(nearest.labels.toFloat64Array()), i * QUERIES * k);
      }
      return { k, similarities, labels };
    },
    free() {
      for (const part of parts) {
        part.queries.free();
        freeNearest(part);
      }
    },
  };
}

function exactRows(
  features: Float32Array,
  width: number,
  { metric, device }: Required<Pick<NeighbourSearchOptions, 'metric' | 'device'>>,
): Tensor {
  const rows = to(fromArray(features, [features.length / width, width], device), { dtype: 'F64' });
  return metric === 'cosine' ? normalize(rows, 1) : rows;
}

/** [Q, D] and [B, D] -> [Q, B]. */
function similarity(queries: Tensor, rows: Tensor, metric: KnnMetric): Tensor {
  const products = matmul(queries, transpose(rows, 0, 1));
  if (metric === 'cosine') return products;
  const squares = (x: Tensor) => sumAlong(mul(x, x), [1], true);
  return sub(sub(mul(products, 2), squares(queries)), transpose(squares(rows), 0, 1));
}

/** @param added `similarities` [Q, B], `labels` [1, B] */
function nearestOf(before: Nearest | undefined, added: Nearest, k: number): Nearest {
  const labels = expandAs(added.labels, added.similarities);
  const all =
    before === undefined ? added.similarities : concat([before.similarities, added.similarities], 1);
  const known = before === undefined ? labels : concat([before.labels, labels], 1);
  const [sorted, order] = stableSort(all, true, 1, true);
  const end = Math.min(k, sorted.shape[1]);
  // A clone, because a slice would keep all of the sorted values in memory.
  return { similarities: clone(slice(sorted, 1, 0, end)), labels: gather(known, 1, slice(order, 1, 0, end)) };
}
