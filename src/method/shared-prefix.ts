import { type Pass, StagedModel } from '../models/staged.js';
import { keep } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import type { Trainable } from '../training/trainer.js';

/**
 * Lets hybrids of one meta model share the forward pass of its frozen leading stages (docs/method.md, "What it costs": MT epochs
 * cost 3L + 15 block-passes instead of 3L + 18, for four modules). The first hybrid that needs a stage's features for a
 * micro-batch computes them; the other hybrids reuse them. The result is exact if all hybrids see the same batch and have the
 * same drop-path masks in these stages.
 *
 * @returns `of` wraps a hybrid so that it shares the prefix; a model without a frozen prefix is returned unchanged
 */
export function sharedPrefix(): {
  of<Model extends Trainable<unknown>>(model: Model): Model | Trainable;
  free(): void;
} {
  /** The micro-batch that `features`, the outputs of the leading stages, belong to. */
  let place = '';
  let features: Tensor[] = [];
  const free = () => {
    for (const tensor of features) tensor.free();
    features = [];
  };
  const featuresAfter = (model: StagedModel, stages: number, x: Tensor, pass: Pass): Tensor => {
    const asked = pass.key.join(' ');
    if (asked !== place) free();
    place = asked;
    for (let stage = features.length; stage < stages; stage++) {
      features.push(keep(model.forwardStages(features.at(-1) ?? x, stage, stage + 1, pass)));
    }
    return features[stages - 1];
  };
  return {
    free,
    of(model) {
      const shares = model instanceof StagedModel ? prefixOf(model) : 0;
      if (!(model instanceof StagedModel) || shares === 0) return model;
      return {
        trainedParameters: () => model.trainedParameters(),
        forward(x, given) {
          const pass = { ...given, size: [x.shape[2], x.shape[3]] as const };
          return model.forwardStages(
            featuresAfter(model, shares, x, pass),
            shares,
            model.stages.length,
            pass,
          );
        },
      };
    },
  };
}

/** Number of frozen leading stages. */
export function prefixOf({ regimes }: StagedModel): number {
  const first = regimes.findIndex((regime) => regime !== 'prefix');
  return Math.max(0, first);
}
