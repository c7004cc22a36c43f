import { RunError } from '../base/errors.js';
import { requireWithin } from '../base/numbers.js';
import type { TensorData } from '../base/tensor-data.js';
import { noGrad } from '../torch/autograd.js';
import { clone, copyInto } from '../torch/ops.js';
import { keep, scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import { lerpEach } from './optimizers/foreach.js';
import { loadState, saveState } from './optimizers/kept-state.js';

export interface EmaOptions {
  /** Share of the old average that an update keeps, e.g. 0.9999. */
  readonly decay: number;
  /**
   * Averages over fewer updates at first: update t, counted from 0, has decay min(decay, 1 - (1 + t)^(-2/3)), so that the
   * random initial weights are not included. Default false.
   */
  readonly warmup?: boolean;
}

/** A running average of weights. It lives until `free()`. */
export interface Ema {
  /** Adds the current weights to the average. */
  update(): void;
  /**
   * Runs `work`, which may be asynchronous, with the averages as the parameters' values. Afterwards, even if `work` fails,
   * the parameters have exactly their own values again.
   * @throws RunError if `update`, `state`, `load` or `swapped` is called before `work` has ended
   */
  swapped<T>(work: () => T): T;
  /** The averages by name (`ema.<parameter>`) and the number of updates, for a checkpoint. */
  state(): Map<string, TensorData>;
  /**
   * Resumes from a saved state.
   * @throws InputError naming a tensor that is missing, left over or has the wrong shape; nothing is changed then
   */
  load(state: ReadonlyMap<string, TensorData>): void;
  free(): void;
}

/**
 * The exponential moving average of weights (Polyak and Juditsky 1992; timm's ModelEmaV2, or ModelEmaV3 with `warmup`):
 * a = decay a + (1 - decay) p after every step, starting from the current weights. If buffers are passed too, they are
 * averaged like parameters, as in timm; a count (of batches, in batch norm) is copied, as in ModelEmaV3.
 * @throws InputError if decay is not within 0 ... 1
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const averages = ema(model.trainedParameters(), { decay: 0.999 });
 * averages.update(); // after each step
 * averages.swapped(() => model.stages.length); // evaluated with the averages as weights
 * averages.free();
 */
export function ema(
  parameters: readonly (readonly [name: string, parameter: Tensor])[],
  options: EmaOptions,
): Ema {
  const { decay, warmup = false } = options;
  requireWithin('decay', decay, 0, 1);
  const weights = parameters.map(([, parameter]) => parameter);
  const averages = noGrad(() => weights.map((weight) => keep(clone(weight))));
  const isCount = weights.map(({ dtype }) => dtype === 'I64');
  const averaged = (all: readonly Tensor[]) => all.filter((_, i) => !isCount[i]);
  const kept = {
    title: 'state of the averaged weights',
    steps: 'ema_updates',
    tensors: parameters.map(([name], i): [name: string, tensor: Tensor] => [`ema.${name}`, averages[i]]),
  };
  let updates = 0;
  let isSwapped = false;

  const swap = () => {
    noGrad(() => {
      for (const [i, weight] of weights.entries()) exchange(weight, averages[i]);
    });
    isSwapped = !isSwapped;
  };
  const assertInPlace = (what: string) => {
    if (isSwapped) throw new RunError(`${what} of averaged weights while the model is using them`);
  };

  return {
    update() {
      assertInPlace('update');
      const now = warmup ? Math.min(decay, 1 - (1 + updates) ** (-2 / 3)) : decay;
      noGrad(() => {
        lerpEach(averaged(averages), averaged(weights), 1 - now);
        for (const [i, weight] of weights.entries()) if (isCount[i]) copyInto(averages[i], weight);
      });
      updates += 1;
    },
    swapped(work) {
      assertInPlace('use');
      swap();
      return whenDone(work, swap);
    },
    state() {
      assertInPlace('saving');
      return saveState(kept, updates);
    },
    load(state) {
      assertInPlace('loading');
      updates = loadState(kept, state);
    },
    free() {
      for (const average of averages) average.free();
    },
  };
}

function exchange(a: Tensor, b: Tensor): void {
  scope(() => {
    const before = clone(a);
    copyInto(a, b);
    copyInto(b, before);
  });
}

/** Runs `last` after `work`, even if `work` fails; after its promise settles if it is asynchronous. */
function whenDone<T>(work: () => T, last: () => void): T {
  let isPending = false;
  try {
    const result = work();
    isPending = result instanceof Promise;
    return isPending ? ((result as Promise<unknown>).finally(last) as T) : result;
  } finally {
    if (!isPending) last();
  }
}
