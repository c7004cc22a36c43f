// ONNX's messages. Field numbers are those of its onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Fields
// are in the order of their numbers, and repeated numbers are packed.

import { delimited, type Encoded, float, message, whole, wholes } from '../base/protobuf.js';
import { type AttributeProto, DATA_TYPE, type NodeProto } from './graph.js';

/** Version of the format: that of ONNX 1.12, the first one with operator set 17. */
const IR_VERSION = 8;

/** TensorProto.DataLocation */
const EXTERNAL = 1;

export interface ModelProto {
  readonly producer: { readonly name: string; readonly version: string };
  readonly operatorSet: number;
  /** An encoded GraphProto. */
  readonly graph: Encoded;
  readonly metadata: Readonly<Record<string, string>>;
}

export function modelProto({ producer, operatorSet, graph, metadata }: ModelProto): Encoded {
  return message(
    whole(1, IR_VERSION),
    delimited(2, producer.name),
    delimited(3, producer.version),
    delimited(7, graph),
    delimited(8, message(delimited(1, ''), whole(2, operatorSet))),
    ...Object.entries(metadata).map(([key, value]) => delimited(14, entry(key, value))),
  );
}

/** Fields are encoded messages. */
export interface GraphProto {
  readonly name: string;
  readonly nodes: readonly Encoded[];
  readonly initializers: readonly Encoded[];
  readonly inputs: readonly Encoded[];
  readonly outputs: readonly Encoded[];
}

export function graphProto({ name, nodes, initializers, inputs, outputs }: GraphProto): Encoded {
  return message(
    ...nodes.map((node) => delimited(1, node)),
    delimited(2, name),
    ...initializers.map((tensor) => delimited(5, tensor)),
    ...inputs.map((value) => delimited(11, value)),
    ...outputs.map((value) => delimited(12, value)),
  );
}

export function nodeProto({ opType, name, input, output, attribute }: NodeProto): Encoded {
  return message(
    ...input.map((value) => delimited(1, value)),
    ...output.map((value) => delimited(2, value)),
    delimited(3, name),
    delimited(4, opType),
    ...attribute.map((each) => delimited(5, attributeProto(each))),
  );
}

function attributeProto({ name, type, i, f, s, ints = [] }: AttributeProto): Encoded {
  return message(
    delimited(1, name),
    f === undefined ? [] : float(2, f),
    i === undefined ? [] : whole(3, i),
    s === undefined ? [] : delimited(4, s),
    wholes(8, ints),
    whole(20, type),
  );
}

/** Where a tensor's bytes are in a separate file. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

export interface TensorProto {
  readonly name: string;
  readonly dataType: number;
  readonly shape: readonly number[];
  readonly data: Uint8Array | ExternalData;
}

export function tensorProto({ name, dataType, shape, data }: TensorProto): Encoded {
  const described = message(wholes(1, shape), whole(2, dataType), delimited(8, name));
  if (data instanceof Uint8Array) return message(described, delimited(9, data));
  const external = Object.entries(data).map(([key, value]) => delimited(13, entry(key, String(value))));
  return message(described, ...external, whole(14, EXTERNAL));
}

/** A float32 value. A size given as a name is known only when the model runs. */
export function valueInfoProto(name: string, shape: readonly (number | string)[]): Encoded {
  const sizes = shape.map((size) =>
    delimited(1, typeof size === 'number' ? whole(1, size) : delimited(2, size)),
  );
  const tensor = message(whole(1, DATA_TYPE.FLOAT), delimited(2, message(...sizes)));
  return message(delimited(1, name), delimited(2, delimited(1, tensor)));
}

function entry(key: string, value: string): Encoded {
  return message(delimited(1, key), delimited(2, value));
}
