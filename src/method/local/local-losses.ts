import { InputError } from '../../base/errors.js';
import { type Blueprint, blockSpans, type StagedModel } from '../../models/staged.js';
import type { InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import type { ClassTarget } from '../../tasks/classification/classification.js';
import { add, clampTensor, detach, mul } from '../../torch/ops.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import type { Task } from '../../training/task.js';
import type { Trainable } from '../../training/trainer.js';
import { DglHead, dglCost } from './dgl-head.js';
import { InfoProHead, type InfoProOptions, infoProCost } from './infopro-head.js';
import type { HeadCost, HeadSizes, LocalHead } from './local-head.js';

/** Weights of the first and the last module with a head; those between are interpolated linearly. */
type EndWeights = readonly [first: number, last: number];

/** The losses of all modules but the last, which has the task's own loss. */
export type LocalLosses =
  | { readonly method: 'dgl' }
  | {
      readonly method: 'infopro';
      readonly task: InfoProOptions['task'];
      readonly reconstruction: EndWeights;
      readonly prediction: EndWeights;
    };

/** Number of blocks in each module. */
type Depths = readonly number[];

/** The auxiliary heads of a model: one for each module but the last. */
export class AuxiliaryHeads extends Module {
  readonly auxiliary: readonly LocalHead[];

  constructor(heads: readonly LocalHead[]) {
    super();
    this.auxiliary = heads;
  }
}

/**
 * @param depths number of blocks in each module
 * @throws InputError if there are fewer than two modules, or the model does not state its features as images
 */
export function auxiliaryHeads(
  blueprint: Blueprint,
  depths: Depths,
  losses: LocalLosses,
  context: InitContext,
): AuxiliaryHeads {
  const heads = headSizes(blueprint, depths).map((sizes, index, { length }) =>
    losses.method === 'dgl'
      ? new DglHead(sizes, context)
      : new InfoProHead(sizes, infoProOptions(losses, index, length), context),
  );
  return new AuxiliaryHeads(heads);
}

/** The cost of each auxiliary head for one image. */
export function auxiliaryCosts(blueprint: Blueprint, depths: Depths, losses: LocalLosses): HeadCost[] {
  return headSizes(blueprint, depths).map((sizes, index, { length }) =>
    losses.method === 'dgl' ? dglCost(sizes) : infoProCost(sizes, infoProOptions(losses, index, length)),
  );
}

function headSizes({ featureMap, input, classes, depth }: Blueprint, depths: Depths): HeadSizes[] {
  if (featureMap === undefined) {
    throw new InputError('local losses: this model does not state its features as images', {
      hint: 'add featureMap to the blueprint',
    });
  }
  if (depths.length < 2) {
    throw new InputError('local losses need at least two modules', {
      hint: 'with one module, train end to end',
    });
  }
  const ends = blockSpans(depths, depths).map((spans) => spans[spans.length - 1].to);
  const [widest] = featureMap.shape(depth);
  return ends.slice(0, -1).map((end) => ({ map: featureMap.shape(end), widest, image: input, classes }));
}

function infoProOptions(
  { task, reconstruction, prediction }: Extract<LocalLosses, { method: 'infopro' }>,
  index: number,
  heads: number,
): InfoProOptions {
  const share = heads > 1 ? index / (heads - 1) : 0;
  const at = ([first, last]: EndWeights) => first * (1 - share) + last * share;
  return { task, reconstruction: at(reconstruction), prediction: at(prediction) };
}

/** The output of a model that is trained by local losses. */
interface LocalOutput {
  readonly images: Tensor;
  /** The outputs of all modules but the last. */
  readonly features: readonly Tensor[];
  readonly logits: Tensor;
}

interface LocalOptions {
  readonly model: StagedModel;
  readonly heads: AuxiliaryHeads;
  readonly featureMap: NonNullable<Blueprint['featureMap']>;
  /** Of the images, per channel, for pixels in 0 ... 1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/**
 * Trains a whole model module by module, as the methods that the paper compares with do: every module but the last learns
 * from its auxiliary head, and no gradient passes from one module to the one before it. All modules are trained in the same step.
 *
 * The loss is the sum over the modules. As they share no parameters, this is the same as one optimiser for each module.
 *
 * @param task evaluates the model as usual; its loss is that of the last module
 * @returns arguments for `train`. The model's trained parameters include those of the heads
 */
export function localLosses(
  task: Task<ClassTarget>,
  { model, heads, featureMap, mean, std }: LocalOptions,
): { readonly model: Trainable<LocalOutput>; readonly task: Task<ClassTarget, LocalOutput> } {
  const last = model.stages.length - 1;
  const predict = task.predict?.bind(task);
  const pixelsOf = (images: Tensor) => {
    const { dtype, device } = images;
    const array = (values: readonly number[]) =>
      dtype === 'F64' ? Float64Array.from(values) : Float32Array.from(values);
    const [scale, shift] = [std, mean].map((values) =>
      fromArray(array(values), [1, values.length, 1, 1], device),
    );
    // Random erasing leaves noise outside 0 ... 1.
    return clampTensor(add(mul(images, scale), shift), 0, 1);
  };

  return {
    model: {
      forward(images, pass) {
        const features: Tensor[] = [];
        let x = images;
        for (let stage = 0; stage < last; stage++) {
          const output = model.forwardStages(x, stage, stage + 1, pass);
          features.push(output);
          x = detach(output);
        }
        return { images, features, logits: model.forwardStages(x, last, last + 1, pass) };
      },
      trainedParameters: () => [...model.trainedParameters(), ...heads.namedParameters()],
    },
    task: {
      prepare: (batch) => task.prepare(batch),
      loss({ images, features, logits }, target) {
        const pixels = pixelsOf(images);
        const lossOf = (output: Tensor) => task.loss(output, target);
        const local = features.map((output, index) =>
          heads.auxiliary[index].loss({ map: featureMap.of(output), pixels, labels: target.labels, lossOf }),
        );
        return local.reduce(add, lossOf(logits));
      },
      metrics: task.metrics,
      score: (logits, target) => task.score(logits, target),
      summarize: (sums, count) => task.summarize(sums, count),
      ...(predict && { predict }),
    },
  };
}
