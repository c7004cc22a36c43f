import { type Pass, StagedModel } from '../models/staged.js';
import { keep } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import type { Trainable } from '../training/trainer.js';

/**
 * Lets hybrids of one meta model share the forward pass of its frozen leading stages (docs/method.md, "What it costs": MT epochs
 * cost 3L + 15 block-passes instead of 3L + 18, for four modules). Exact where all of them see the same batch and have the
 * same drop-path masks there: the first to need a stage's features of a micro-batch computes them, the others take them.
 *
 * @returns gives a hybrid's training pass that does so; a model without a frozen prefix is left as it is
 */
export function sharedPrefix(): { of(model: Trainable): Trainable; free(): void } {
  /** Of micro-batch `place`: the features after each leading stage. */
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
        forward: (x, pass) =>
          model.forwardStages(featuresAfter(model, shares, x, pass), shares, model.stages.length, pass),
      };
    },
  };
}

/** Leading stages that are frozen. */
export function prefixOf({ regimes }: StagedModel): number {
  const first = regimes.findIndex((regime) => regime !== 'prefix');
  return Math.max(0, first);
}
