import { RunError } from '../base/errors.js';
import type { Batch } from '../data/batch.js';
import { autocast, backward, clearGrads } from '../torch/autograd.js';
import type { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import { clipGradients } from './clip.js';
import type { Optimizer } from './optimizer.js';
import type { Schedule } from './schedule.js';
import type { Task } from './task.js';

export type Precision = 'float32' | 'bfloat16';

/** What the loop trains: any model, with the parameters that change. */
export interface Trainable {
  forward(x: Tensor, pass: { readonly training: boolean; readonly generator: Generator }): Tensor;
  trainedParameters(): (readonly [name: string, parameter: Tensor])[];
}

export interface TrainOptions {
  readonly model: Trainable;
  readonly task: Task;
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
  /** Micro-batches from step `fromStep` on, `accumulate` a step. */
  readonly batches: AsyncIterable<Batch>;
  readonly fromStep: number;
  readonly steps: number;
  readonly accumulate: number;
  /** Bound on the common 2-norm of the gradients, or null. */
  readonly clipGrad: number | null;
  readonly precision: Precision;
  readonly device: string;
  /** Re-seeded every step from `seed`, `phase` and the step: drop path draws from it. */
  readonly generator: Generator;
  readonly seed: number;
  readonly phase: string;
  /** Called after every step, and waited for: to log, evaluate, checkpoint. */
  readonly afterStep: (report: StepReport) => void | Promise<void>;
}

export interface StepReport {
  /** Steps done, this one included. */
  readonly step: number;
  /** Mean over the step's images. */
  readonly loss: number;
  readonly lr: number;
  readonly images: number;
  /** Before clipping; undefined where nothing is clipped. */
  readonly gradNorm: number | undefined;
  /** Milliseconds of the whole step, and of it waiting for data. */
  readonly milliseconds: number;
  readonly dataMilliseconds: number;
}

/**
 * The one training loop. A phase, a baseline or a task is a value passed to it.
 * @throws RunError at the first non-finite loss, naming phase, step and the batch's images; at the first non-finite
 *   gradient norm, where gradients are clipped; when the data ends early
 */
export async function train(options: TrainOptions): Promise<void> {
  const { model, optimizer, schedule, steps, accumulate, clipGrad } = options;
  const parameters = model.trainedParameters().map(([, parameter]) => parameter);
  const batches = options.batches[Symbol.asyncIterator]();
  try {
    for (let step = options.fromStep; step < steps; step++) {
      const started = performance.now();
      let dataMilliseconds = 0;
      let loss = 0;
      let images = 0;

      for (let micro = 0; micro < accumulate; micro++) {
        const waiting = performance.now();
        const { value: batch, done } = await batches.next();
        dataMilliseconds += performance.now() - waiting;
        if (done) throw new RunError(`${options.phase}: the data ended at step ${step} of ${steps}`);
        options.generator.seed([options.seed, 'drop-path', options.phase, step, micro]);
        const microLoss = forwardBackward(options, batch);
        if (!Number.isFinite(microLoss)) {
          throw nonFinite(options, step, `the loss is ${microLoss}`, `(images ${some(batch.indices)})`);
        }
        loss += microLoss / accumulate;
        images += batch.size;
      }

      const gradNorm = clipGrad === null ? undefined : clipGradients(parameters, clipGrad);
      if (!Number.isFinite(gradNorm ?? 0)) throw nonFinite(options, step, `the gradient norm is ${gradNorm}`);
      const lr = schedule(step);
      optimizer.step(lr);
      clearGrads(parameters);

      const milliseconds = performance.now() - started;
      await options.afterStep({ step: step + 1, loss, lr, images, gradNorm, milliseconds, dataMilliseconds });
    }
  } finally {
    await batches.return?.();
  }
}

/** Adds a micro-batch's share to the gradients. @returns its mean loss */
function forwardBackward(options: TrainOptions, batch: Batch): number {
  const { model, task, accumulate, precision, device, generator } = options;
  return scope(() => {
    const { input, target } = task.prepare(batch);
    const forward = () => task.loss(model.forward(input, { training: true, generator }), target);
    const loss = precision === 'bfloat16' ? autocast(device, 'BF16', forward) : forward();
    backward(loss, 1 / accumulate);
    return loss.item();
  });
}

/** @param step steps done before this one */
function nonFinite({ phase }: TrainOptions, step: number, what: string, where = ''): RunError {
  return new RunError(`${phase}: ${what} at step ${step + 1} ${where}`.trimEnd(), {
    hint: 'lower the learning rate, lengthen the warm-up, or set clip_grad',
  });
}

function some(indices: Int32Array): string {
  const shown = indices.subarray(0, 8).join(', ');
  return indices.length > 8 ? `${shown} ...` : shown;
}
