import { failedCall } from './errors.js';
import { native, type Parameter } from './native.js';
import { Generator } from './random.js';
import { Tensor } from './tensor.js';

/** An argument of an operator: undefined stands for the schema's default, null for its `None`. */
export type Argument =
  | Tensor
  | Generator
  | number
  | boolean
  | string
  | null
  | undefined
  | readonly (Tensor | number | boolean | null)[];

/**
 * An operator of libtorch's dispatcher, e.g. `operator('aten::add', 'Tensor')`, looked up at its first call.
 * The caller states the type of its result; tensors are returned as raw handles, which the caller must release or wrap.
 *
 * @throws TorchError naming the operator, the operands and libtorch's reason
 * @throws FreedTensorError naming the operator and the operands
 */
export function operator<Result>(name: string, overload = ''): (...args: Argument[]) => Result {
  const title = overload === '' ? name : `${name}.${overload}`;
  let index = -1;
  let parameters: readonly Parameter[];
  return (...args) => {
    try {
      if (index < 0) {
        const found = native.resolve(name, overload);
        parameters = native.parameters(found);
        index = found;
      }
      return native.call(
        index,
        args.map((argument, i) => toNative(argument, parameters[i])),
      ) as Result;
    } catch (error) {
      throw failedCall(`${title}(${args.map(describe).join(', ')})`, error);
    }
  };
}

/**
 * `operator` for operators that return one tensor.
 *
 * @example
 * const relu = tensorOperator('aten::relu');
 * relu(fromArray(Float32Array.of(-1, 2), [2])).toFloat32Array(); // 0, 2
 */
export function tensorOperator(name: string, overload = ''): (...args: Argument[]) => Tensor {
  const call = operator<number>(name, overload);
  return (...args) => new Tensor(call(...args));
}

/** `operator` for operators that return several tensors or a list of tensors. */
export function tensorsOperator(name: string, overload = ''): (...args: Argument[]) => Tensor[] {
  const call = operator<number[]>(name, overload);
  return (...args) => call(...args).map((handle) => new Tensor(handle));
}

/** Converts an argument for the native side. Handles are plain numbers there, so their types are checked here. */
function toNative(argument: Argument, parameter: Parameter | undefined): unknown {
  if (argument === undefined || argument === null || parameter === undefined) return argument;
  if (Array.isArray(argument)) return argument.map((item) => toNative(item, parameter));
  const { name, kind } = parameter;
  if (
    kind === 'tensor' ? argument instanceof Tensor : kind === 'generator' && argument instanceof Generator
  ) {
    return (argument as Tensor | Generator).handle;
  }
  const isValue = !(argument instanceof Tensor || argument instanceof Generator);
  if (kind === 'value' && isValue) return argument;
  const given = isValue ? `a ${typeof argument}` : argument instanceof Tensor ? 'a tensor' : 'a generator';
  throw new TypeError(`argument '${name}': expected a ${kind}, got ${given}`);
}

function describe(argument: Argument): string {
  if (Array.isArray(argument)) {
    const items = argument.length > 6 ? [...argument.slice(0, 5), `... ${argument.length} in all`] : argument;
    return `[${items.map(describe).join(', ')}]`;
  }
  if (argument instanceof Generator) return 'generator';
  return String(argument);
}
