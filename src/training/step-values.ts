import { RunError } from '../base/errors.js';
import { noGrad } from '../torch/autograd.js';
import { flat, readLater } from '../torch/later.js';
import { tensorOperator } from '../torch/operator.js';
import { add, divide, to } from '../torch/ops.js';
import { scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import type { DataParallel } from './distributed/data-parallel.js';
import type { ProcessGroup } from './distributed/process-group.js';

/**
 * A step that is done or, on a GPU, queued. Reading `loss` or `gradNorm` waits for the GPU and throws the RunError of
 * `train` if this step is not finite.
 */
export interface StepReport {
  /** Number of steps done, including this one. */
  readonly step: number;
  /** Mean over the step's images in all processes. */
  readonly loss: number;
  readonly lr: number;
  readonly images: number;
  /** The common 2-norm of the gradients before clipping. */
  readonly gradNorm: number;
  /**
   * Milliseconds of the whole step, with the waits for its values so far; `dataMilliseconds` of these were spent waiting for
   * data. On a GPU, a step whose values were not read yet has the time until the step before it was complete.
   */
  readonly milliseconds: number;
  readonly dataMilliseconds: number;
  /**
   * Waits for the GPU. Call it before the weights are evaluated or saved.
   * @throws RunError if this step is not finite
   */
  requireFinite(): void;
}

/** A micro-batch after its backward pass. */
export interface MicroBatch {
  /** Mean over its images; one element. */
  readonly loss: Tensor;
  /** Number of images. */
  readonly size: number;
  readonly indices: Int32Array;
}

/** Loss and gradient norm of a step, which a GPU may still be computing. */
export interface StepValues {
  /** Mean over the step's images in all processes. Waits for the device. */
  readonly loss: number;
  readonly gradNorm: number;
  /** F32 of one element: 1 if a value is not finite, else 0. Undefined on the CPU. */
  readonly skip: Tensor | undefined;
  /** @throws RunError if a value is not finite, naming phase, step and the images */
  requireFinite(): void;
}

interface Step {
  readonly phase: string;
  /** Number of steps done before this one. */
  readonly step: number;
  /** This process's. */
  readonly micros: readonly MicroBatch[];
  readonly norm: Tensor;
  readonly parallel: DataParallel | undefined;
  readonly describe?: ((index: number) => string) | undefined;
}

const finite = tensorOperator('aten::isfinite');
const all = tensorOperator('aten::all');
const not = tensorOperator('aten::logical_not');

/** Starts to read a step's values. */
export function stepValues({ phase, step, micros, norm, parallel, describe }: Step): StepValues {
  const losses = micros.map(({ loss }) => loss);
  const [skip, later] = scope(() =>
    noGrad(() => {
      const mean = parallel === undefined ? [] : [meanOver(parallel.group, losses)];
      const numbers = [...losses, norm, ...mean];
      const skip = norm.device === 'cpu' ? undefined : to(not(all(finite(flat(numbers)))), { dtype: 'F32' });
      return [skip, readLater(numbers)];
    }),
  );
  const failure = (what: string, where = '') =>
    new RunError(`${phase}: ${what} at step ${step + 1} ${where}`.trimEnd(), {
      hint: 'lower the learning rate, lengthen the warm-up, or set clip_grad',
    });
  const read = () => {
    const values = later.values();
    const own = values.slice(0, micros.length);
    const [gradNorm, mean = meanOf(own)] = values.slice(micros.length);
    const bad = own.findIndex((loss) => !Number.isFinite(loss));
    if (bad >= 0) throw failure(`the loss is ${own[bad]}`, `(images ${some(micros[bad].indices, describe)})`);
    if (!Number.isFinite(gradNorm)) throw failure(`the gradient norm is ${gradNorm}`);
    if (!Number.isFinite(mean)) throw failure(`the mean loss of all processes is ${mean}`);
    return { loss: mean, gradNorm };
  };
  return {
    get loss() {
      return read().loss;
    },
    get gradNorm() {
      return read().gradNorm;
    },
    skip,
    requireFinite: read,
  };
}

/** The trainer's report of a step. */
export function reportOf(
  values: StepValues,
  known: Pick<StepReport, 'step' | 'lr' | 'images' | 'milliseconds' | 'dataMilliseconds'>,
): StepReport {
  let waited = 0;
  const timed = <T>(read: () => T): T => {
    const started = performance.now();
    try {
      return read();
    } finally {
      waited += performance.now() - started;
    }
  };
  return {
    ...known,
    get milliseconds() {
      return known.milliseconds + waited;
    },
    get loss() {
      return timed(() => values.loss);
    },
    get gradNorm() {
      return timed(() => values.gradNorm);
    },
    requireFinite: () => timed(() => values.requireFinite()),
  };
}

function meanOf(losses: readonly number[]): number {
  return losses.reduce((sum, loss) => sum + loss / losses.length, 0);
}

/** F64 [1]: the mean over the losses of all processes, rounded as `meanOf` rounds. */
function meanOver(group: ProcessGroup, losses: readonly Tensor[]): Tensor {
  const shares = losses.map((loss) => divide(flat([loss]), losses.length));
  const mean = shares.reduce((sum, share) => add(sum, share));
  group.allReduce([mean], 'mean');
  return mean;
}

function some(indices: Int32Array, describe: (index: number) => string = String): string {
  const shown = Array.from(indices.subarray(0, 8), (index) => describe(index)).join(', ');
  return indices.length > 8 ? `${shown} ...` : shown;
}
