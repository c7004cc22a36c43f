import type { PartCost, TensorCost } from './staged.js';

type Tensors = Readonly<Record<string, TensorCost>>;

/** The cost of a part with these parameters. */
export function partCost(tensors: Tensors): PartCost {
  const all = Object.values(tensors);
  const sum = (key: keyof TensorCost) => all.reduce((total, tensor) => total + tensor[key], 0);
  return { macs: sum('macs'), parameters: sum('parameters'), tensors };
}

/** @param uses how often the matrix is multiplied with a vector: number of tokens or pixels of one image */
export function matrix(inputs: number, outputs: number, uses: number): TensorCost {
  return { parameters: inputs * outputs, macs: uses * inputs * outputs };
}

/** The cost of a linear layer's parameters. */
export function linearTensors(
  name: string,
  inputs: number,
  outputs: number,
  { uses, hasBias = true }: { readonly uses: number; readonly hasBias?: boolean },
): Tensors {
  return {
    [`${name}.weight`]: matrix(inputs, outputs, uses),
    ...(hasBias && { [`${name}.bias`]: vector(outputs) }),
  };
}

/** The cost of a layer norm's or batch norm's parameters. */
export function normTensors(name: string, width: number): Tensors {
  return { [`${name}.weight`]: vector(width), [`${name}.bias`]: vector(width) };
}

/** The cost of a parameter that is added or scales. Its multiply-accumulates are not counted. */
export function vector(parameters: number): TensorCost {
  return { parameters, macs: 0 };
}
