import { noGrad } from '../torch/autograd.js';
import { copyInto, fillNormal, fillUniform, mul, ones, to, zeros } from '../torch/ops.js';
import type { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import { parameter } from './module.js';

/** Device, dtype and random numbers of new parameters. */
export interface InitContext {
  readonly device: string;
  readonly dtype: 'F32' | 'F64';
  /** A CPU generator, whatever the device. */
  readonly generator: Generator;
}

/**
 * N(0, deviation^2), by default N(0, 0.02^2). The official trunc_normal_ truncates at the absolute values +-2, a hundred
 * standard deviations, so it truncates nothing.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const embedding = normalParameter([1, 50, 16], context, 0.02);
 */
export function normalParameter(shape: readonly number[], context: InitContext, deviation = 0.02): Tensor {
  return filled(shape, context, (tensor) => fillNormal(tensor, 0, deviation, context.generator));
}

/**
 * N(0, 2 / fan), He initialisation of a convolution before a ReLU (He et al. 2015, arXiv 1502.01852).
 * @param shape [outputs, inputs, height, width]
 * @param fan `in`: inputs x height x width, PyTorch's default; `out`: outputs x height x width, as in torchvision's ResNets
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const kernel = heParameter([16, 3, 3, 3], 'out', context);
 */
export function heParameter(shape: readonly number[], fan: 'in' | 'out', context: InitContext): Tensor {
  const [outputs, inputs, height, width] = shape;
  const size = (fan === 'in' ? inputs : outputs) * height * width;
  return normalParameter(shape, context, Math.sqrt(2 / size));
}

/**
 * U(-1/sqrt(fanIn), 1/sqrt(fanIn)), PyTorch's default for the weight and bias of convolutions.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const weight = fanInParameter([16, 3, 4, 4], 3 * 4 * 4, context);
 */
export function fanInParameter(shape: readonly number[], fanIn: number, context: InitContext): Tensor {
  return uniformParameter(shape, 1 / Math.sqrt(fanIn), context);
}

/**
 * U(-bound, bound).
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const weight = uniformParameter([16, 3], 0.1, context);
 */
function uniformParameter(shape: readonly number[], bound: number, context: InitContext): Tensor {
  return filled(shape, context, (tensor) => fillUniform(tensor, -bound, bound, context.generator));
}

/**
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const bias = zeroParameter([16], context);
 */
export function zeroParameter(shape: readonly number[], context: InitContext): Tensor {
  return parameter(() => zeros(shape, context.dtype, context.device));
}

/**
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const scale = oneParameter([16], context);
 */
export function oneParameter(shape: readonly number[], context: InitContext): Tensor {
  return parameter(() => ones(shape, context.dtype, context.device));
}

/**
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const gamma = constantParameter([16], 1e-5, context);
 */
export function constantParameter(shape: readonly number[], value: number, context: InitContext): Tensor {
  return parameter(() => scope(() => mul(ones(shape, context.dtype, context.device), value)));
}

/**
 * Sets the weight and the bias of layers to zero: of the last projection of a residual branch, so that the branch starts at zero.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const last = new Linear(16, 8, context);
 * setToZero(last);
 */
export function setToZero(
  ...layers: readonly { readonly weight: Tensor; readonly bias: Tensor | null }[]
): void {
  noGrad(() =>
    scope(() => {
      for (const { weight, bias } of layers) {
        for (const tensor of bias === null ? [weight] : [weight, bias]) {
          copyInto(tensor, zeros(tensor.shape, tensor.dtype, tensor.device));
        }
      }
    }),
  );
}

// Drawn on the CPU, then moved, so that every device gets the same numbers.
function filled(shape: readonly number[], context: InitContext, fill: (tensor: Tensor) => void): Tensor {
  return parameter(() =>
    scope(() => {
      const drawn = zeros(shape, context.dtype);
      fill(drawn);
      return context.device === 'cpu' ? drawn : to(drawn, { device: context.device });
    }),
  );
}
