import { InputError } from '../base/errors.js';
import type { DType } from '../base/tensor-data.js';
import { noGrad } from '../torch/autograd.js';
import { keep } from '../torch/scope.js';
import { Tensor } from '../torch/tensor.js';

/**
 * State of a module that training changes without a gradient, such as the running statistics of batch norm. It is saved
 * and loaded with the parameters.
 *
 * @example
 * const count = new ModuleBuffer(zeros([]));
 * count.tensor.item(); // 0
 */
export class ModuleBuffer {
  readonly tensor: Tensor;

  constructor(tensor: Tensor) {
    this.tensor = tensor;
  }
}

/**
 * Makes a buffer that lives until its module is freed.
 *
 * @example
 * class Counting extends Layer {
 *   readonly calls = buffer(() => zeros([]));
 *   forward(x: Tensor): Tensor {
 *     return x;
 *   }
 * }
 * [...new Counting().namedBuffers()].map(([name]) => name); // calls
 */
export function buffer(make: () => Tensor): ModuleBuffer {
  return new ModuleBuffer(keep(noGrad(make)));
}

/**
 * A part of a network. Its properties define it: tensors are parameters, `ModuleBuffer`s are buffers, and modules and arrays
 * of modules are children, in the order of assignment, which is also that of PyTorch's `named_parameters()`. #private fields
 * are ignored: use them for constants.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * class Gate extends Module {
 *   readonly proj = new Linear(4, 4, context);
 * }
 * [...new Gate().namedParameters()].map(([name]) => name); // proj.weight, proj.bias
 */
export abstract class Module {
  /** With names as in PyTorch: `blocks.0.attn.qkv.weight`. */
  *namedParameters(): Iterable<[name: string, parameter: Tensor]> {
    for (const [prefix, module] of this.namedModules()) yield* module.#ownParameters(prefix);
  }

  /** With names as in PyTorch: `blocks.0.bn1.running_mean`. */
  *namedBuffers(): Iterable<[name: string, buffer: Tensor]> {
    for (const [prefix, module] of this.namedModules()) yield* module.#ownBuffers(prefix);
  }

  /** Parameters and buffers, in the order of PyTorch's `state_dict()`. */
  *namedWeights(): Iterable<[name: string, weight: Tensor]> {
    for (const [prefix, module] of this.namedModules()) {
      yield* module.#ownParameters(prefix);
      yield* module.#ownBuffers(prefix);
    }
  }

  /** This module and all its descendants, each with the prefix of its tensors' names: `` or `blocks.0.attn.`. */
  *namedModules(prefix = ''): Iterable<[prefix: string, module: Module]> {
    yield [prefix, this];
    for (const [key, child] of this.children()) yield* child.namedModules(`${prefix}${key}.`);
  }

  *#ownParameters(prefix: string): Iterable<[string, Tensor]> {
    for (const [key, value] of Object.entries(this)) if (value instanceof Tensor) yield [prefix + key, value];
  }

  *#ownBuffers(prefix: string): Iterable<[string, Tensor]> {
    for (const [key, value] of Object.entries(this)) {
      if (value instanceof ModuleBuffer) yield [prefix + key, value.tensor];
    }
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
   * Sets whether gradients of these parameters are computed.
   * @throws InputError naming a parameter whose dtype does not allow gradients
   */
  setTrainable(trainable: boolean): this {
    for (const [name, parameter] of this.namedParameters()) {
      if (trainable && !FLOATING.has(parameter.dtype)) {
        throw new InputError(`${name} is ${parameter.dtype}, which cannot be trained`, {
          hint: 'store constants in a #private field, and mutable state in buffer(...): neither is a parameter',
        });
      }
      parameter.requiresGrad = trainable;
    }
    return this;
  }

  /** Releases the memory of parameters and buffers. */
  free(): void {
    for (const [, weight] of this.namedWeights()) weight.free();
  }
}

const FLOATING: ReadonlySet<DType> = new Set<DType>(['F64', 'F32', 'F16', 'BF16']);

/** Makes a trainable tensor that lives until its module is freed. */
export function parameter(make: () => Tensor): Tensor {
  const made = keep(noGrad(make));
  made.requiresGrad = true;
  return made;
}
