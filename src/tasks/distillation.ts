import { InputError } from '../base/errors.js';
import { requireWithin } from '../base/numbers.js';
import type { Pass } from '../models/staged.js';
import { noGrad } from '../torch/autograd.js';
import { add, argmax, crossEntropy, divide, klDivergence, logSoftmax, mul } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import type { Task } from '../training/task.js';
import { headsOf, judged, widened } from './classification/logits.js';

/** Any model of the same classes: images -> logits. */
export interface Teacher {
  forward(images: Tensor, pass: Pass): Tensor;
}

export interface DistillationOptions {
  /** Sees what the model sees: its image size and normalisation must be the model's. */
  readonly teacher: Teacher;
  /** soft: the teacher's probabilities are learnt. hard: its decision, as a label. */
  readonly kind: 'soft' | 'hard';
  /** Weight of the teacher in the loss, 0 ... 1; the task's own loss has the rest. */
  readonly alpha: number;
  /** Temperature of soft distillation. */
  readonly tau: number;
}

/** The task's own target, and what the teacher is to look at. */
export interface DistillationTarget<Own> {
  readonly own: Own;
  readonly input: Tensor;
}

/**
 * A task learnt from its labels and from a teacher (Touvron et al. 2021, "Training data-efficient image transformers
 * & distillation through attention", section 4; the numbers are those of DeiT's code). The distillation head of a
 * model with two, [B, 2, classes], learns from the teacher and the class head from the labels; the one head of
 * [B, classes] learns from both. The teacher looks at the same mixed and erased images, in evaluation mode, and only
 * when there is a loss: judging does not ask it.
 * @throws InputError for a weight that is no share, or a temperature of 0; when used, for a teacher of other classes
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const task = classification({ channels: 3, classes: 2, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], device: 'cpu' });
 * const taught = distillation(task, { teacher: model, kind: 'soft', alpha: 0.5, tau: 3 });
 */
export function distillation<Own>(
  task: Task<Own>,
  options: DistillationOptions,
): Task<DistillationTarget<Own>> {
  const { teacher, alpha, tau } = options;
  requireWithin('alpha', alpha, 0, 1);
  if (!(tau > 0)) throw new InputError(`tau is ${tau}`, { hint: 'give a temperature above 0' });
  const predict = task.predict?.bind(task);
  const judging = { training: false, generator: new Generator(), key: [] };
  const taught =
    options.kind === 'soft'
      ? (logits: Tensor, teaching: Tensor) => softLoss(logits, teaching, tau)
      : hardLoss;

  return {
    prepare(batch) {
      const { input, target } = task.prepare(batch);
      return { input, target: { own: target, input } };
    },

    /** @throws InputError when the teacher knows other classes */
    loss(logits, { own, input }) {
      const student = headsOf(widened(logits)).at(-1) as Tensor;
      const teaching = scope(() => noGrad(() => judged(widened(teacher.forward(input, judging)))));
      checkClasses(teaching, student);
      return add(mul(task.loss(logits, own), 1 - alpha), mul(taught(student, teaching), alpha));
    },

    metrics: task.metrics,
    score: (logits, { own }) => task.score(logits, own),
    summarize: (sums, images) => task.summarize(sums, images),
    ...(predict && { predict: (logits, { own }) => predict(logits, own) }),
  };
}

/** tau^2 times the mean - over images and classes - of KL(teacher || student) at temperature tau. */
function softLoss(logits: Tensor, teaching: Tensor, tau: number): Tensor {
  const [student, teacher] = [logits, teaching].map((each) => logSoftmax(divide(each, tau), 1));
  return mul(klDivergence(student, teacher), tau * tau);
}

function hardLoss(logits: Tensor, teaching: Tensor): Tensor {
  return crossEntropy(logits, argmax(teaching, 1));
}

function checkClasses(teaching: Tensor, student: Tensor): void {
  const [known, wanted] = [teaching, student].map(({ shape }) => shape[1]);
  if (known === wanted) return;
  throw new InputError(`the teacher knows ${known} classes, the model ${wanted}`, {
    hint: 'take a teacher that was trained on the same classes',
  });
}
