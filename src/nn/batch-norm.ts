import { noGrad } from '../torch/autograd.js';
import { batchNorm, increase, ones, zeros } from '../torch/ops.js';
import type { Tensor } from '../torch/tensor.js';
import { type InitContext, oneParameter, zeroParameter } from './init.js';
import { buffer, Module, type ModuleBuffer } from './module.js';

/**
 * Batch normalisation of images (Ioffe and Szegedy 2015), with the parameters, buffers and defaults of
 * torch.nn.BatchNorm2d: [B, C, H, W] -> the same shape.
 *
 * Training uses the statistics of the micro-batch and updates the running ones; evaluation uses the running ones. A frozen
 * layer (`weight` requires no gradient) is always in evaluation mode.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const norm = new BatchNorm2d(16, context);
 * norm.forward(ones([2, 16, 4, 4]), { training: true });
 * norm.running_mean.tensor.toFloat32Array()[0]; // 0.1
 */
export class BatchNorm2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly running_mean: ModuleBuffer;
  readonly running_var: ModuleBuffer;
  /** Number of micro-batches that have updated the running statistics. */
  readonly num_batches_tracked: ModuleBuffer;
  readonly #momentum: number;
  readonly #eps: number;

  constructor(
    channels: number,
    context: InitContext,
    options: { readonly momentum?: number; readonly eps?: number } = {},
  ) {
    super();
    const { dtype, device } = context;
    this.weight = oneParameter([channels], context);
    this.bias = zeroParameter([channels], context);
    this.running_mean = buffer(() => zeros([channels], dtype, device));
    this.running_var = buffer(() => ones([channels], dtype, device));
    this.num_batches_tracked = buffer(() => zeros([], 'I64', device));
    this.#momentum = options.momentum ?? 0.1;
    this.#eps = options.eps ?? 1e-5;
  }

  forward(x: Tensor, pass: { readonly training: boolean }): Tensor {
    const training = pass.training && this.weight.requiresGrad;
    if (training) noGrad(() => increase(this.num_batches_tracked.tensor, 1));
    const running = { mean: this.running_mean.tensor, variance: this.running_var.tensor };
    return batchNorm(x, this.weight, this.bias, {
      running,
      training,
      momentum: this.#momentum,
      eps: this.#eps,
    });
  }
}
