import type { PartCost, TensorCost } from './staged.js';

type Tensors = Readonly<Record<string, TensorCost>>;

/** The cost of a part with these parameters. */
export function partCost(tensors: Tensors): PartCost {
  const all = Object.values(tensors);
  const sum = (key: 'macs' | 'parameters', some = all) => some.reduce((total, each) => total + each[key], 0);
  const inMatrices = sum(
    'parameters',
    all.filter(({ isMatrix }) => isMatrix),
  );
  return { macs: sum('macs'), parameters: sum('parameters'), inMatrices, tensors };
}

/**
 * The cost of a convolution's weights.
 * @param inputs elements of one window
 * @param uses number of windows in one image
 */
export function convolution(inputs: number, outputs: number, uses: number): TensorCost {
  return { parameters: inputs * outputs, macs: uses * inputs * outputs };
}

/**
 * The cost of a linear layer's parameters.
 * @param options.uses number of vectors in one image
 */
export function linearTensors(
  name: string,
  inputs: number,
  outputs: number,
  { uses, hasBias = true }: { readonly uses: number; readonly hasBias?: boolean },
): Tensors {
  return {
    [`${name}.weight`]: { parameters: inputs * outputs, macs: uses * inputs * outputs, isMatrix: true },
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
