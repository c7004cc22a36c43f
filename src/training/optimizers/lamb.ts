import { tensorOperator } from '../../torch/operator.js';
import { divide as over, unbind } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import { commonNorm } from './clip.js';
import {
  addEach,
  addProduct,
  addScalar,
  divideEach,
  lerpEach,
  norms,
  quotients,
  roots,
  scale,
} from './foreach.js';
import { type Optimizer, optimizerFrom, type ParameterGroup } from './optimizer.js';

export interface LambOptions {
  /** Default 0.9, 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-6. */
  readonly eps?: number;
  /** Gradients are first scaled down to this common 2-norm. Default null, no limit, as in the paper; timm's default is 1. */
  readonly maxGradNorm?: number | null;
  /** Applies trust ratios also to groups without weight decay. Default false, as in the authors' code and timm. */
  readonly alwaysAdapt?: boolean;
}

const stack = tensorOperator('aten::stack');
const greater = tensorOperator('aten::gt', 'Scalar');
const and = tensorOperator('aten::logical_and');
const where = tensorOperator('aten::where', 'ScalarOther');
const atLeast = tensorOperator('aten::clamp_min');

/**
 * LAMB (You et al. 2020, algorithm 2), for large batches: Adam's direction, plus decay, scaled for each parameter to the
 * parameter's norm.
 * m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; u = m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps) + wd p;
 * p -= lr |p|/|u| u, with a ratio of 1 if either norm is 0.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const groups = decayGroups(model.trainedParameters(), 0.05);
 * const optimizer = lamb(groups, { maxGradNorm: 1 });
 * optimizer.free();
 */
export function lamb(groups: readonly ParameterGroup[], options: LambOptions = {}): Optimizer {
  const [beta1, beta2] = options.betas ?? [0.9, 0.999];
  const { eps = 1e-6, maxGradNorm = null, alwaysAdapt = false } = options;
  return optimizerFrom(groups, {
    slots: ['exp_avg', 'exp_avg_sq'],
    update(all, step) {
      const excess = maxGradNorm === null ? undefined : excessOf(all, maxGradNorm);
      for (const { parameters, gradients: raw, slots, lr, weightDecay } of all) {
        const [averages, squares] = slots;
        const gradients = excess === undefined ? raw : quotients(raw, excess);
        lerpEach(averages, gradients, 1 - beta1);
        scale(squares, beta2);
        addProduct(squares, gradients, gradients, 1 - beta2);

        const denominators = roots(squares);
        divideEach(denominators, Math.sqrt(1 - beta2 ** step));
        addScalar(denominators, eps);
        const updates = quotients(averages, denominators);
        divideEach(updates, 1 - beta1 ** step);
        if (weightDecay !== 0) addEach(updates, parameters, weightDecay);
        if (weightDecay !== 0 || alwaysAdapt) scale(updates, trustRatios(parameters, updates));
        addEach(parameters, updates, -lr);
      }
    },
  });
}

/** The ratio of the common norm to the limit, at least 1. */
function excessOf(groups: readonly { readonly gradients: readonly Tensor[] }[], limit: number): Tensor {
  return atLeast(over(commonNorm(groups.flatMap(({ gradients }) => gradients)), limit), 1);
}

function trustRatios(parameters: readonly Tensor[], updates: readonly Tensor[]): Tensor[] {
  const [weights, steps] = [parameters, updates].map((tensors) => stack(norms(tensors)));
  return unbind(where(and(greater(weights, 0), greater(steps, 0)), over(weights, steps), 1), 0);
}
