import { operator } from '../../torch/operator.js';
import { full } from '../../torch/ops.js';
import { type Optimizer, optimizerFrom, type ParameterGroup, type Rule } from './optimizer.js';

export interface AdamWOptions {
  /** Default 0.9, 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
}

const fused = operator<undefined>('aten::_fused_adamw_');

/**
 * AdamW (Loshchilov and Hutter 2019), with libtorch's fused kernel:
 * p *= 1 - lr*wd; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps).
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const groups = decayGroups(model.trainedParameters(), 0.05);
 * const optimizer = adamw(groups, { betas: [0.9, 0.95] });
 * optimizer.free();
 */
export function adamw(groups: readonly ParameterGroup[], options: AdamWOptions = {}): Optimizer {
  return optimizerFrom(groups, adamwRule(options));
}

export function adamwRule(options: AdamWOptions): Rule {
  const [beta1, beta2] = options.betas ?? [0.9, 0.999];
  const eps = options.eps ?? 1e-8;
  return {
    slots: ['exp_avg', 'exp_avg_sq'],
    canSkip: true,
    update(all, step, skip) {
      const at = full([], step, 'F32', all[0].parameters[0].device);
      for (const { parameters, gradients, slots, lr, weightDecay } of all) {
        const [averages, squares] = slots;
        const ats = parameters.map(() => at);
        const numbers = [lr, beta1, beta2, weightDecay, eps];
        fused(parameters, gradients, averages, squares, [], ats, ...numbers, false, false, null, skip);
      }
    },
  };
}
