import { addEach, lerpEach, lerped, scale, sign } from './foreach.js';
import { type Optimizer, optimizerFrom, type ParameterGroup } from './optimizer.js';

export interface LionOptions {
  /** Default 0.9, 0.99. */
  readonly betas?: readonly [number, number];
}

/**
 * Lion (Chen et al. 2023, algorithm 2), with half the state of AdamW. It needs a learning rate 3 to 10 times smaller than
 * AdamW's, and a weight decay larger by the same factor.
 * u = sign(b1 m + (1-b1) g); p -= lr (u + wd p); m = b2 m + (1-b2) g.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const groups = decayGroups(model.trainedParameters(), 0.05);
 * const optimizer = lion(groups, { betas: [0.9, 0.99] });
 * optimizer.free();
 */
export function lion(groups: readonly ParameterGroup[], options: LionOptions = {}): Optimizer {
  const [beta1, beta2] = options.betas ?? [0.9, 0.99];
  return optimizerFrom(groups, {
    slots: ['exp_avg'],
    update(all) {
      for (const { parameters, gradients, slots, lr, weightDecay } of all) {
        const [averages] = slots;
        const updates = lerped(averages, gradients, 1 - beta1);
        sign(updates);
        if (weightDecay !== 0) scale(parameters, 1 - lr * weightDecay);
        addEach(parameters, updates, -lr);
        lerpEach(averages, gradients, 1 - beta2);
      }
    },
  });
}
