import { type Later, readLater } from '../../torch/later.js';
import { topIndices } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import type { Predictions } from '../../training/task.js';

/** Default number of predicted classes per image. */
const SHOWN = 3;

/**
 * Starts to read the predictions. The first access to one of their lists waits for a GPU.
 * @param logits F64 [B, classes]
 * @param labels I64 [B]
 */
export function predictionsOf(logits: Tensor, labels: Tensor, top = SHOWN): Predictions {
  const [size, classes] = logits.shape;
  const k = Math.min(top, classes);
  // At least the number in `score`, so that ties between equal logits are broken the same way.
  const asked = Math.min(Math.max(5, k), classes);
  const later = readLater([labels, topIndices(logits, asked), logits]);
  return new LatePredictions(later, { size, classes, k, asked });
}

type Sizes = Readonly<Record<'size' | 'classes' | 'k' | 'asked', number>>;

/** A class, because `scope` would read the getters of a plain object. */
class LatePredictions implements Predictions {
  readonly k: number;
  readonly #later: Later;
  readonly #sizes: Sizes;
  #lists: Omit<Predictions, 'k'> | undefined;

  constructor(later: Later, sizes: Sizes) {
    this.k = sizes.k;
    this.#later = later;
    this.#sizes = sizes;
  }

  get labels() {
    return this.#read().labels;
  }
  get classes() {
    return this.#read().classes;
  }
  get probabilities() {
    return this.#read().probabilities;
  }
  get logits() {
    return this.#read().logits;
  }

  #read(): Omit<Predictions, 'k'> {
    this.#lists ??= ranked(this.#later.values(), this.#sizes);
    return this.#lists;
  }
}

/** @param values labels [B], then the classes with the largest logits [B, asked], then logits [B, classes] */
function ranked(values: readonly number[], { size, classes, k, asked }: Sizes): Omit<Predictions, 'k'> {
  const labels = Int32Array.from(values.slice(0, size));
  const first = Int32Array.from(values.slice(size, size + size * asked));
  const all = Float64Array.from(values.slice(size + size * asked));
  const found = {
    labels,
    classes: new Int32Array(size * k),
    probabilities: new Float64Array(size * k),
    logits: new Float64Array(size * k),
  };
  for (let image = 0; image < size; image++) {
    const row = all.subarray(image * classes, (image + 1) * classes);
    const most = row[first[image * asked]];
    const sum = row.reduce((total, value) => total + Math.exp(value - most), 0);
    for (let rank = 0; rank < k; rank++) {
      const name = first[image * asked + rank];
      found.classes[image * k + rank] = name;
      found.probabilities[image * k + rank] = Math.exp(row[name] - most) / sum;
      found.logits[image * k + rank] = row[name];
    }
  }
  return found;
}
