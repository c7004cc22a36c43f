import { InputError } from '../base/errors.js';
import { requireWithin } from '../base/numbers.js';
import type { Pass } from '../models/staged.js';
import { noGrad } from '../torch/autograd.js';
import { add, argmax, crossEntropy, divide, klDivergence, logSoftmax, mul } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import type { Task } from '../training/task.js';
import { headsOf, logitsToScore, widened } from './classification/classification.js';

/** Any model with the same classes: images -> logits. */
export interface Teacher {
  forward(images: Tensor, pass: Pass): Tensor;
}

export interface DistillationOptions {
  /** Gets the same input as the model, so its image size and normalisation must be the same. */
  readonly teacher: Teacher;
  /** soft: the model learns the teacher's probabilities. hard: it learns the teacher's prediction, as a label. */
  readonly kind: 'soft' | 'hard';
  /** Weight of the teacher in the loss, 0 ... 1; the task's own loss has weight 1 - alpha. */
  readonly alpha: number;
  /** Temperature of soft distillation. */
  readonly tau: number;
}

/** The task's own target, and the teacher's input. */
export interface DistillationTarget<Own> {
  readonly own: Own;
  readonly input: Tensor;
}

/**
 * A task that is learnt from its labels and from a teacher (Touvron et al. 2021, "Training data-efficient image transformers
 * & distillation through attention", section 4; the loss is scaled as in DeiT's code). In a model with two heads,
 * [B, 2, classes], the distillation head learns from the teacher and the class head from the labels; a single head,
 * [B, classes], learns from both. The teacher gets the same mixed and erased images, in evaluation mode. It runs only for
 * the loss, not in evaluation.
 * @throws InputError if alpha is not within 0 ... 1 or tau is not above 0; later, if the teacher has different classes
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
  if (!(tau > 0)) throw new InputError(`tau is ${tau}`, { hint: 'the temperature must be above 0' });
  const predict = task.predict?.bind(task);
  const evalPass = { training: false, generator: new Generator(), key: [] };
  const taught =
    options.kind === 'soft'
      ? (logits: Tensor, teaching: Tensor) => softLoss(logits, teaching, tau)
      : hardLoss;

  return {
    prepare(batch) {
      const { input, target } = task.prepare(batch);
      // The teacher sees the same images at their full size, in which it was trained.
      const { shrink, ...full } = batch;
      const taught = shrink === undefined ? input : task.prepare(full).input;
      return { input, target: { own: target, input: taught } };
    },

    /** @throws InputError if the teacher has a different number of classes */
    loss(logits, { own, input }) {
      const student = headsOf(widened(logits)).at(-1) as Tensor;
      const teaching = scope(() => noGrad(() => logitsToScore(widened(teacher.forward(input, evalPass)))));
      checkClasses(teaching, student);
      return add(mul(task.loss(logits, own), 1 - alpha), mul(taught(student, teaching), alpha));
    },

    metrics: task.metrics,
    score: (logits, { own }) => task.score(logits, own),
    summarize: (sums, images) => task.summarize(sums, images),
    ...(predict && { predict: (logits, { own }, top) => predict(logits, own, top) }),
  };
}

/** tau^2 times the mean, over images and classes, of KL(teacher || student) at temperature tau. */
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
  throw new InputError(`the teacher has ${known} classes, but the model has ${wanted}`, {
    hint: 'use a teacher that was trained on the same classes',
  });
}
