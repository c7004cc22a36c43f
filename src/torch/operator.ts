import { errorText } from '../base/errors.js';
import { TorchError } from './errors.js';
import { native } from './native.js';
import { Generator } from './random.js';
import { Tensor } from './tensor.js';

/** What an operator takes: a left-out (undefined) argument has the schema's default, null is its `None`. */
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
 * The caller states what it returns; tensors come back as `Tensor`s owned by the innermost scope.
 *
 * @throws TorchError naming operator, operands and libtorch's reason
 */
export function operator<Result>(name: string, overload = ''): (...args: Argument[]) => Result {
  const title = overload === '' ? name : `${name}.${overload}`;
  let index = -1;
  return (...args) => {
    let results: unknown;
    const converted = args.map(toNative);
    try {
      if (index < 0) index = native.resolve(name, overload);
      results = native.call(index, converted);
    } catch (error) {
      throw new TorchError(`${title}(${args.map(describe).join(', ')}): ${firstLine(errorText(error))}`, {
        cause: error,
      });
    }
    return results as Result;
  };
}

/** As `operator`, for one that returns one tensor. */
export function tensorOperator(name: string, overload = ''): (...args: Argument[]) => Tensor {
  const call = operator<number>(name, overload);
  return (...args) => new Tensor(call(...args));
}

/** As `operator`, for one that returns several tensors, or a list of them. */
export function tensorsOperator(name: string, overload = ''): (...args: Argument[]) => Tensor[] {
  const call = operator<number[]>(name, overload);
  return (...args) => call(...args).map((handle) => new Tensor(handle));
}

function toNative(argument: Argument): unknown {
  if (argument instanceof Tensor || argument instanceof Generator) return argument.handle;
  if (Array.isArray(argument)) return argument.map(toNative);
  return argument;
}

function describe(argument: Argument): string {
  if (Array.isArray(argument)) {
    const items = argument.length > 6 ? [...argument.slice(0, 5), `... ${argument.length} in all`] : argument;
    return `[${items.map(describe).join(', ')}]`;
  }
  if (argument instanceof Generator) return 'generator';
  return String(argument);
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0];
}
