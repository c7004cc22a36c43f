import onnxProto from 'onnx-proto';
import { elementCount } from '../base/tensor-data.js';

const { AttributeType } = onnxProto.onnx.AttributeProto;
const { DataType } = onnxProto.onnx.TensorProto;

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
  readonly nodes: readonly GraphNode[];
  readonly initializers: readonly Initializer[];
}

/** An operator in the form of ONNX's NodeProto. The types of onnx-proto are not part of the library's types. */
interface GraphNode {
  readonly opType: string;
  readonly name: string;
  readonly input: string[];
  readonly output: string[];
  readonly attribute: NodeAttribute[];
}

/** ONNX's AttributeProto: `type` says which of the values is set. */
interface NodeAttribute {
  readonly name: string;
  readonly type: number;
  readonly i?: number;
  readonly f?: number;
  readonly ints?: number[];
}

/** A float32 input or output. A size given as a name is known only when the model runs. */
interface Value {
  readonly name: string;
  readonly shape: readonly (number | string)[];
}

type Attribute = number | readonly number[] | { readonly float: number };

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
  const nodes: GraphNode[] = [];
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
      constant({ name, dataType: DataType.FLOAT, shape, byteLength: 4 * elementCount(shape), load }),
    floats: (name, values, shape = typeof values === 'number' ? [] : [values.length]) => {
      const data = Float32Array.from(typeof values === 'number' ? [values] : values);
      return constant({ name, shape, ...known(data, DataType.FLOAT) });
    },
    integers: (...values) => {
      const data = BigInt64Array.from(values.map(BigInt));
      return constant({ name: `int64 ${values}`, shape: [values.length], ...known(data, DataType.INT64) });
    },
    build: (ends) => ({ ...ends, nodes, initializers: [...initializers.values()] }),
  };
}

function known(data: Float32Array | BigInt64Array, dataType: number) {
  const bytes = new Uint8Array(data.buffer);
  return { dataType, byteLength: bytes.length, load: () => bytes };
}

function attributeOf(name: string, value: Attribute): NodeAttribute {
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: [...value] };
}
