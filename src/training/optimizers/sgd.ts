import { operator } from '../../torch/operator.js';
import { type Optimizer, optimizerFrom, type ParameterGroup } from './optimizer.js';

export interface SgdOptions {
  /** Default 0.9. With 0, no state is kept. */
  readonly momentum?: number;
  /** Default false. Has no effect if momentum is 0. */
  readonly nesterov?: boolean;
}

const fused = operator<undefined>('aten::_fused_sgd_');

/**
 * Stochastic gradient descent (Sutskever et al. 2013, in the form of torch.optim.SGD), with libtorch's fused kernel:
 * g += wd p; m = momentum m + g; p -= lr m, or lr (g + momentum m) with Nesterov. Weight decay is part of the gradient, not
 * decoupled from it as in AdamW.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const groups = decayGroups(model.trainedParameters(), 0.05);
 * const optimizer = sgd(groups, { momentum: 0.9 });
 * optimizer.free();
 */
export function sgd(groups: readonly ParameterGroup[], options: SgdOptions = {}): Optimizer {
  const { momentum = 0.9, nesterov = false } = options;
  const hasMomentum = momentum !== 0;
  return optimizerFrom(groups, {
    slots: hasMomentum ? ['momentum_buffer'] : [],
    update(all) {
      for (const { parameters, gradients, slots, lr, weightDecay } of all) {
        // A buffer of zeros gives m = g in the first step, so the kernel does not need to know which step is the first.
        const [dampening, maximize, isFirst] = [0, false, false];
        const rates = [weightDecay, momentum, lr, dampening];
        fused(parameters, gradients, slots[0] ?? [], ...rates, nesterov && hasMomentum, maximize, isFirst);
      }
    },
  });
}
