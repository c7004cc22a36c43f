import { InputError } from '../base/errors.js';
import type { Layer, StagedModel } from '../models/staged.js';
import { logitsToScore, widened } from '../tasks/classification/classification.js';
import { noGrad } from '../torch/autograd.js';
import { mean, mul, sub } from '../torch/ops.js';
import { scope } from '../torch/scope.js';
import type { Task } from '../training/task.js';
import type { Trainable } from '../training/trainer.js';

/**
 * Module imitation, the alternative that the paper argues against, as an ablation of incubation. The module learns to
 * reproduce the output of the meta stage that it replaces, by mean squared error. Both get the meta model's features as
 * input; labels and classifier are not used. For the last module, the features are the logits.
 *
 * The meta model computes the reference and the input features in evaluation mode, without drop path; the module trains
 * with its own drop path.
 *
 * @param hybrid has one trained stage, the module. It is evaluated as usual: `task.score` takes its logits
 * @param metaStage the meta model's stage that the module replaces; the caller still owns it
 * @returns arguments for `train`: a model that returns module output minus reference, and a task that squares it
 * @throws InputError unless exactly one stage of the hybrid is trained
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const task = classification({ channels: 3, classes: 2, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], device: 'cpu' });
 * const meta = assemble(tiny, metaDepths(2), null, context);
 * const mimic = imitation(hybrid(tiny, [2, 2], meta, 0, context), meta.stages[0], task);
 * mimic.model.trainedParameters(); // those of module 0; `train` takes mimic.model and mimic.task
 */
export function imitation<Target>(
  hybrid: StagedModel,
  metaStage: Layer,
  task: Task<Target>,
): { readonly model: Trainable; readonly task: Task<Target> } {
  const index = trainedStage(hybrid);
  const predict = task.predict?.bind(task);
  const isLast = index === hybrid.stages.length - 1;

  const model: Trainable = {
    forward(images, pass) {
      const evalPass = { ...pass, training: false };
      return scope(() => {
        const features = hybrid.forwardStages(images, 0, index, evalPass);
        // With a float32 reference, the difference is float32, too.
        const reference = noGrad(() => widened(metaStage.forward(features, evalPass)));
        const given = hybrid.forwardStages(features, index, index + 1, pass);
        // With two heads, the reference is their mean, as in evaluation.
        return sub(isLast ? logitsToScore(given) : given, reference);
      });
    },
    trainedParameters: () => hybrid.trainedParameters(),
  };

  return {
    model,
    task: {
      prepare: (batch) => task.prepare(batch),
      loss: (difference) => mean(mul(difference, difference)),
      metrics: task.metrics,
      score: (logits, target) => task.score(logits, target),
      summarize: (sums, images) => task.summarize(sums, images),
      ...(predict && { predict }),
    },
  };
}

function trainedStage({ regimes }: StagedModel): number {
  const index = regimes.indexOf('trained');
  if (index >= 0 && regimes.lastIndexOf('trained') === index) return index;
  throw new InputError(
    `imitation trains exactly one module of a hybrid, but the stages are ${regimes.join(', ')}`,
    {
      hint: 'pass a hybrid: hybridRegimes(stages, index)',
    },
  );
}
