import { InputError } from '../base/errors.js';
import type { DType } from '../base/tensor-data.js';
import { noGrad } from '../torch/autograd.js';
import { keep } from '../torch/scope.js';
import { Tensor } from '../torch/tensor.js';

/**
 * A part of a network. Its parameters are the tensors among its properties, its children the modules, and those in
 * arrays among them, in the order in which they were assigned: the order of `named_parameters()` in PyTorch. What is in
 * a #private field is neither: the place for a constant.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * class Gate extends Module {
 *   readonly proj = new Linear(4, 4, context);
 * }
 * [...new Gate().namedParameters()].map(([name]) => name); // proj.weight, proj.bias
 */
export abstract class Module {
  /** Names as PyTorch's: `blocks.0.attn.qkv.weight`. */
  *namedParameters(prefix = ''): Iterable<[name: string, parameter: Tensor]> {
    for (const [key, value] of Object.entries(this)) if (value instanceof Tensor) yield [prefix + key, value];
    for (const [key, child] of this.children()) yield* child.namedParameters(`${prefix}${key}.`);
  }

  *children(): Iterable<[name: string, child: Module]> {
    for (const [key, value] of Object.entries(this)) {
      if (value instanceof Module) yield [key, value];
      else if (Array.isArray(value)) {
        for (const [i, item] of value.entries()) if (item instanceof Module) yield [`${key}.${i}`, item];
      }
    }
  }

  parameters(): Tensor[] {
    return Array.from(this.namedParameters(), ([, parameter]) => parameter);
  }

  /**
   * With false, no gradient of these parameters is ever computed.
   * @throws InputError naming a parameter that can have none
   */
  setTrainable(trainable: boolean): this {
    for (const [name, parameter] of this.namedParameters()) {
      if (trainable && !FLOATING.has(parameter.dtype)) {
        throw new InputError(`${name} is of ${parameter.dtype}, which cannot be trained`, {
          hint: 'keep a constant in a #private field, which is no parameter',
        });
      }
      parameter.requiresGrad = trainable;
    }
    return this;
  }

  /** Releases the parameters' memory. */
  free(): void {
    for (const parameter of this.parameters()) parameter.free();
  }
}

const FLOATING: ReadonlySet<DType> = new Set<DType>(['F64', 'F32', 'F16', 'BF16']);

/** A trainable tensor that lives until its module is freed. */
export function parameter(make: () => Tensor): Tensor {
  const made = keep(noGrad(make));
  made.requiresGrad = true;
  return made;
}
