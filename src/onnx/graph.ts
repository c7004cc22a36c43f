import { InputError } from '../base/errors.js';
import { elementCount, type TensorData } from '../base/tensor-data.js';
import { to, transpose } from '../torch/ops.js';
import { scope } from '../torch/scope.js';
import { fromData } from '../torch/tensor.js';

/** TensorProto.DataType */
export const DATA_TYPE = { FLOAT: 1, INT64: 7 } as const;

/** AttributeProto.AttributeType */
export const ATTRIBUTE_TYPE = { FLOAT: 1, INT: 2, STRING: 3, INTS: 7 } as const;

/** A constant tensor of a graph. Its bytes are loaded when they are written, so that few are in memory at a time. */
export interface Initializer {
  readonly name: string;
  readonly dataType: number;
  readonly shape: readonly number[];
  readonly byteLength: number;
  load(): Uint8Array;
}

export interface Graph {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly NodeProto[];
  readonly initializers: readonly Initializer[];
}

/** An operator. */
export interface NodeProto {
  readonly opType: string;
  readonly name: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeProto[];
}

/** `type` says which of the values is set. */
export interface AttributeProto {
  readonly name: string;
  readonly type: number;
  readonly i?: number;
  readonly f?: number;
  readonly s?: string;
  readonly ints?: readonly number[];
}

/** A float32 input or output. A size given as a name is known only when the model runs. */
interface Value {
  readonly name: string;
  readonly shape: readonly (number | string)[];
}

type Attribute = number | string | readonly number[] | { readonly float: number };

/** Builds a graph node by node. */
export interface GraphBuilder {
  /** Adds an operator; returns the name of its output. */
  node(
    operator: string,
    name: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, Attribute>>,
  ): string;
  /** `node` for an operator with several outputs. */
  nodes(
    operator: string,
    names: readonly string[],
    inputs: readonly string[],
    attributes?: Readonly<Record<string, Attribute>>,
  ): string[];
  /** A float32 constant; `load` returns its bytes when they are needed. */
  weight(name: string, shape: readonly number[], load: () => Uint8Array): string;
  /** A small float32 constant; a scalar for a single number. */
  floats(name: string, values: number | readonly number[], shape?: readonly number[]): string;
  /** A vector of int64. */
  integers(...values: number[]): string;
  build(ends: Pick<Graph, 'inputs' | 'outputs'>): Graph;
}

export interface GraphOptions {
  /** Per channel. If set, the graph takes pixels from 0 to 1 and normalises them itself. */
  readonly normalisation?: { readonly mean: readonly number[]; readonly std: readonly number[] };
}

/** (pixels - mean) / std, per channel. */
export function normalised(
  graph: GraphBuilder,
  pixels: string,
  { mean, std }: NonNullable<GraphOptions['normalisation']>,
): string {
  const perChannel = (name: string, values: readonly number[]) =>
    graph.floats(name, values, [values.length, 1, 1]);
  const centred = graph.node('Sub', 'normalise/sub', [pixels, perChannel('mean', mean)]);
  return graph.node('Div', 'normalise/div', [centred, perChannel('std', std)]);
}

export function graphBuilder(): GraphBuilder {
  const nodes: NodeProto[] = [];
  const initializers = new Map<string, Initializer>();
  const constant = (initializer: Initializer): string => {
    initializers.set(initializer.name, initializer);
    return initializer.name;
  };
  const addNodes: GraphBuilder['nodes'] = (operator, names, inputs, attributes = {}) => {
    const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
    nodes.push({ opType: operator, name: names[0], input: [...inputs], output: [...names], attribute });
    return [...names];
  };
  return {
    nodes: addNodes,
    node: (operator, name, inputs, attributes) => addNodes(operator, [name], inputs, attributes)[0],
    weight: (name, shape, load) =>
      constant({ name, dataType: DATA_TYPE.FLOAT, shape, byteLength: 4 * elementCount(shape), load }),
    floats: (name, values, shape = typeof values === 'number' ? [] : [values.length]) => {
      const data = Float32Array.from(typeof values === 'number' ? [values] : values);
      return constant({ name, shape, ...known(data, DATA_TYPE.FLOAT) });
    },
    integers: (...values) => {
      const data = BigInt64Array.from(values.map(BigInt));
      return constant({ name: `int64 ${values}`, shape: [values.length], ...known(data, DATA_TYPE.INT64) });
    },
    build: (ends) => ({ ...ends, nodes, initializers: [...initializers.values()] }),
  };
}

function known(data: Float32Array | BigInt64Array, dataType: number) {
  const bytes = new Uint8Array(data.buffer);
  return { dataType, byteLength: bytes.length, load: () => bytes };
}

function attributeOf(name: string, value: Attribute): AttributeProto {
  if (typeof value === 'number') return { name, type: ATTRIBUTE_TYPE.INT, i: value };
  if (typeof value === 'string') return { name, type: ATTRIBUTE_TYPE.STRING, s: value };
  if ('float' in value) return { name, type: ATTRIBUTE_TYPE.FLOAT, f: value.float };
  return { name, type: ATTRIBUTE_TYPE.INTS, ints: [...value] };
}

/** Adds a model's weights to a graph as constants. */
export interface Weights {
  /** The weight with this name and shape. */
  weight(name: string, shape: readonly number[]): string;
  /** A matrix, transposed from [outputs, inputs] to [inputs, outputs], as MatMul expects it. */
  transposed(name: string, shape: readonly number[]): string;
}

/**
 * Functions that add a model's weights to `graph` and check them.
 *
 * @param source origin of the weights, for messages
 */
export function weightsFor(
  graph: GraphBuilder,
  weights: ReadonlyMap<string, TensorData>,
  source: string,
): Weights & { unused(): string[] } {
  const unused = new Set(weights.keys());
  const get = (name: string, shape: readonly number[]): TensorData => {
    const tensor = weights.get(name);
    if (tensor === undefined) throw new InputError(`${source} has no ${name}`, { hint: OTHER_MODEL });
    if (String(tensor.shape) !== String(shape)) {
      const [has, needs] = [tensor.shape, shape].map((each) => `[${each.join(', ')}]`);
      throw new InputError(`${source}: ${name} has shape ${has}, but the model needs ${needs}`, {
        hint: OTHER_MODEL,
      });
    }
    unused.delete(name);
    return tensor;
  };
  return {
    weight: (name, shape) => {
      const tensor = get(name, shape);
      return graph.weight(name, shape, () => float32(tensor, false));
    },
    transposed: (name, shape) => {
      const tensor = get(name, shape);
      return graph.weight(`${name}.T`, [...shape].reverse(), () => float32(tensor, true));
    },
    unused: () => [...unused],
  };
}

const OTHER_MODEL = 'the weights belong to a model of another geometry: check --recipe and --set model...';

function float32(tensor: TensorData, isTransposed: boolean): Uint8Array {
  if (tensor.dtype === 'F32' && !isTransposed) return tensor.data;
  return scope(() => {
    const x = to(fromData(tensor), { dtype: 'F32' });
    return (isTransposed ? transpose(x, 0, 1) : x).toData().data;
  });
}

/** The exact GELU, x / 2 (1 + erf(x / sqrt 2)): operator set 17 has no GELU operator. */
export function addGelu(graph: GraphBuilder, x: string, name: string): string {
  const inner = graph.node('Div', `${name}/div`, [x, graph.floats('sqrt_2', Math.SQRT2)]);
  const erf = graph.node('Erf', `${name}/erf`, [inner]);
  const above = graph.node('Add', `${name}/add`, [erf, graph.floats('one', 1)]);
  const product = graph.node('Mul', `${name}/mul`, [x, above]);
  return graph.node('Mul', `${name}/half`, [product, graph.floats('half', 0.5)]);
}
