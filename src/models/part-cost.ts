import type { PartCost, TensorCost } from './staged.js';

type Tensors = Readonly<Record<string, TensorCost>>;

/** What a part costs whose parameters are these. */
export function partCost(tensors: Tensors): PartCost {
  const all = Object.values(tensors);
  const sum = (key: keyof TensorCost) => all.reduce((total, tensor) => total + tensor[key], 0);
  return { macs: sum('macs'), parameters: sum('parameters'), tensors };
}

/** @param uses how often the matrix is multiplied with a vector: tokens or pixels of one image */
export function matrix(inputs: number, outputs: number, uses: number): TensorCost {
  return { parameters: inputs * outputs, macs: uses * inputs * outputs };
}

/** A linear layer's parameters. */
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

/** The parameters of a layer or batch norm. */
export function normTensors(name: string, width: number): Tensors {
  return { [`${name}.weight`]: vector(width), [`${name}.bias`]: vector(width) };
}

/** A parameter that is added or scales: its multiply-accumulates are not counted. */
export function vector(parameters: number): TensorCost {
  return { parameters, macs: 0 };
}
