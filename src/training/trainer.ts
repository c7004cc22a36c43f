import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { InputError, RunError } from '../base/errors.js';
import { requireWhole } from '../base/numbers.js';
import type { RandomKey } from '../base/random.js';
import type { Batch } from '../data/dataset.js';
import type { Pass } from '../models/staged.js';
import { activationTape } from '../nn/activation-checkpoint.js';
import { backward, clearGrads } from '../torch/autograd.js';
import { detach } from '../torch/ops.js';
import { inPrecision, type Precision } from '../torch/precision.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import type { DataParallel } from './distributed/data-parallel.js';
import { clipGradients, gradientNorm } from './optimizers/clip.js';
import type { Optimizer } from './optimizers/optimizer.js';
import type { Schedule } from './schedule.js';
import { type MicroBatch, reportOf, type StepReport, type StepValues, stepValues } from './step-values.js';
import type { Task } from './task.js';

/** Any model that the loop can train, with the parameters that it trains. The task's loss takes its output. */
export interface Trainable<Output = Tensor> {
  forward(x: Tensor, pass: Pass): Output;
  trainedParameters(): (readonly [name: string, parameter: Tensor])[];
}

export interface TrainOptions<Output = Tensor> {
  readonly model: Trainable<Output>;
  readonly task: Task<unknown, Output>;
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
  /** Micro-batches from step `fromStep` on, `accumulate` per step. */
  readonly batches: AsyncIterable<Batch>;
  /** Number of steps that are already done. Default 0. */
  readonly fromStep?: number;
  readonly steps: number;
  /** Default 1. */
  readonly accumulate?: number;
  /** Upper bound on the common 2-norm of the gradients. Default null: no bound. */
  readonly clipGrad?: number | null;
  /** Default float32. */
  readonly precision?: Precision;
  /** Default cpu. */
  readonly device?: string;
  /** Recompute the blocks' activations in the backward pass instead of keeping them. Default false. */
  readonly activationCheckpointing?: boolean;
  /** Source of drop-path masks; seeded again in each block with `dropPathKey`, step, micro-batch, stage and block. */
  readonly generator?: Generator;
  readonly seed: number;
  /** For messages, and part of the default `dropPathKey`. */
  readonly phase: string;
  /** Default [seed, 'drop-path', phase]. Hybrids with the same key have the same masks in the stages that they share. */
  readonly dropPathKey?: RandomKey;
  /** Describes an image in messages, e.g. by its file. */
  readonly describe?: ((index: number) => string) | undefined;
  /** Set if several processes share each step; every process computes `accumulate` micro-batches. */
  readonly parallel?: DataParallel;
  /** Called and awaited after every step: to log, evaluate or write a checkpoint. */
  readonly afterStep?: (report: StepReport) => void | Promise<void>;
}

/**
 * The only training loop. Phases, baselines and tasks are values that are passed to it.
 * @throws InputError if a number of steps or the bound is invalid, or the schedule returns an invalid learning rate
 * @throws RunError at the first non-finite loss, naming phase, step and the batch's images; at the first non-finite gradient.
 *   On a GPU it is thrown up to one step later; the step itself is skipped, so that no damaged weight exists in either case.
 *   Also if the data ends early
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const groups = decayGroups(model.trainedParameters(), 0.05);
 * const task = classification({ channels: 3, classes: 2, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], device: 'cpu' });
 * const { train: dataset, val } = openDataset({ format: 'folder', path: 'images' });
 * const steps = 2;
 * await train({
 *   model, task, steps, seed: 0, phase: 'PT',
 *   optimizer: adamw(groups),
 *   schedule: stepCosine({ lr: 1e-3, warmupLr: 0, minLr: 0, steps, warmupSteps: 0 }),
 *   batches: trainBatches({ dataset, batchSize: 4, seed: 0, phase: 'PT', steps }),
 *   afterStep: ({ step, loss }) => console.log(step, loss, val.length),
 * });
 */
export async function train<Output = Tensor>(given: TrainOptions<Output>): Promise<void> {
  const options = withDefaults(given);
  const { model, optimizer, schedule, steps, accumulate, clipGrad, parallel } = options;
  const { rank, size } = parallel?.group ?? { rank: 0, size: 1 };
  const { dropPathKey = [options.seed, 'drop-path', options.phase] } = options;
  const parameters = model.trainedParameters().map(([, parameter]) => parameter);
  const batches = options.batches[Symbol.asyncIterator]();
  // A GPU computes a step while the values of the previous one are read. The optimiser must then be able to skip a step.
  const isLate = options.device !== 'cpu' && optimizer.canSkip === true;
  let previous: StepValues | undefined;
  const held = new Set<Tensor>();
  const hold = (tensor: Tensor) => {
    held.add(tensor);
    return tensor;
  };
  const release = () => {
    for (const tensor of held) tensor.free();
    held.clear();
  };
  // Gradients left by an earlier call, e.g. one that failed between micro-batches, would count in the first step.
  clearGrads(parameters);
  try {
    for (let step = options.fromStep; step < steps; step++) {
      // Batches from memory arrive without an event loop turn; no timers or signals would be handled until the end.
      await eventLoopTurn();
      const started = performance.now();
      let dataMilliseconds = 0;
      const micros: MicroBatch[] = [];

      for (let micro = 0; micro < accumulate; micro++) {
        const waiting = performance.now();
        const { value: batch, done } = await batches.next();
        dataMilliseconds += performance.now() - waiting;
        if (done) {
          previous?.requireFinite();
          throw new RunError(`${options.phase}: ran out of data at step ${step} of ${steps}`);
        }
        // The same keys as if one process computed all micro-batches.
        const key = [...dropPathKey, step, rank * accumulate + micro];
        const loss = hold(forwardBackward(options, batch, key, { reduces: micro === accumulate - 1 }));
        micros.push({ loss, size: batch.size, indices: batch.indices });
      }
      const norm = hold(gradientNorm(parameters));
      const values = stepValues({ ...options, step, micros, norm, parallel });
      if (values.skip !== undefined) hold(values.skip);
      if (!isLate) values.requireFinite();
      if (clipGrad !== null) clipGradients(parameters, norm, clipGrad);

      const lr = checkedRate(schedule(step), options.phase, step);
      optimizer.step(lr, isLate ? values.skip : undefined);
      release();
      clearGrads(parameters);
      parallel?.shareBuffers();
      previous?.requireFinite();
      previous = values;

      const milliseconds = performance.now() - started;
      const images = size * micros.reduce((sum, micro) => sum + micro.size, 0);
      await options.afterStep?.(
        reportOf(values, { step: step + 1, lr, images, milliseconds, dataMilliseconds }),
      );
    }
    previous?.requireFinite();
  } finally {
    release();
    await batches.return?.();
  }
}

type Options<Output> = ReturnType<typeof withDefaults<Output>>;

function withDefaults<Output>(options: TrainOptions<Output>) {
  const { fromStep = 0, accumulate = 1, clipGrad = null, precision = 'float32', device = 'cpu' } = options;
  const { generator = new Generator() } = options;
  for (const [name, value] of Object.entries({ fromStep, steps: options.steps }))
    requireWhole(name, value, 0);
  requireWhole('accumulate', accumulate, 1);
  if (clipGrad !== null && !(clipGrad > 0)) {
    throw new InputError(`clipGrad is ${clipGrad}`, { hint: 'it must be above 0, or null for no clipping' });
  }
  return { ...options, fromStep, accumulate, clipGrad, precision, device, generator };
}

/** Rejects an invalid learning rate. It would damage the weights, undetected if this is the last step. */
function checkedRate(lr: number, phase: string, step: number): number {
  if (Number.isFinite(lr) && lr >= 0) return lr;
  throw new InputError(`${phase}: the learning rate is ${lr} at step ${step + 1}`, {
    hint: 'the schedule must return a number of at least 0 for every step from 0',
  });
}

/**
 * Adds a micro-batch's share to the gradients.
 * @param reduces whether this micro-batch completes the step's gradients
 * @returns the mean loss, which the caller frees
 */
function forwardBackward<Output>(
  options: Options<Output>,
  batch: Batch,
  key: RandomKey,
  { reduces }: { readonly reduces: boolean },
): Tensor {
  const { model, task, accumulate, precision, device, generator, parallel } = options;
  const computing = (work: () => Tensor) => inPrecision(precision, device, work);
  const tape = options.activationCheckpointing ? activationTape(computing) : undefined;
  return scope(() => {
    try {
      const { input, target } = task.prepare(batch);
      const pass = { training: true, generator, key, tape, target };
      const loss = computing(() => task.loss(model.forward(input, pass), target));
      const addGradients = () => {
        backward(loss, 1 / accumulate);
        tape?.backward();
      };
      if (reduces && parallel !== undefined) parallel.reduce(addGradients);
      else addGradients();
      return detach(loss);
    } finally {
      tape?.free();
    }
  });
}
