import onnxProto from 'onnx-proto';
import { expect, test } from 'vitest';
import { ATTRIBUTE_TYPE, DATA_TYPE } from './graph.js';
import { graphProto, modelProto, nodeProto, tensorProto, valueInfoProto } from './proto.js';

const { ModelProto } = onnxProto.onnx;

const data = Uint8Array.from({ length: 70_000 }, (_, index) => index % 251);
const external = { location: 'mödel.onnx.data', offset: 2 ** 33, length: 4096 };
const attributes = [
  { name: 'axis', type: ATTRIBUTE_TYPE.INT, i: -1 },
  { name: 'far', type: ATTRIBUTE_TYPE.INT, i: Number.MIN_SAFE_INTEGER },
  { name: 'near', type: ATTRIBUTE_TYPE.INT, i: 0 },
  { name: 'epsilon', type: ATTRIBUTE_TYPE.FLOAT, f: 1e-6 },
  { name: 'perm', type: ATTRIBUTE_TYPE.INTS, ints: [0, 300, -2, 2 ** 40] },
  { name: 'none', type: ATTRIBUTE_TYPE.INTS, ints: [] },
];
const node = { opType: 'Add', name: 'blocks.0/add', input: ['x', ''], output: ['y'], attribute: attributes };

test("has the bytes of onnx-proto's encoder", () => {
  const encoded = modelProto({
    producer: { name: 'deep-incubation', version: '1' },
    operatorSet: 17,
    graph: graphProto({
      name: 'classifier',
      nodes: [nodeProto(node), nodeProto({ ...node, attribute: [], output: ['a', 'b'] })],
      initializers: [
        tensorProto({ name: 'w', dataType: DATA_TYPE.FLOAT, shape: [125, 140], data }),
        tensorProto({ name: 'scalar', dataType: DATA_TYPE.INT64, shape: [], data: data.subarray(0, 8) }),
        tensorProto({ name: 'far', dataType: DATA_TYPE.FLOAT, shape: [2 ** 32, 1], data: external }),
      ],
      inputs: [valueInfoProto('pixels', ['batch', 3, 224, 224])],
      outputs: [valueInfoProto('logits', ['batch', 0])],
    }),
    metadata: { names: '["Tür"]', empty: '' },
  });
  const value = (name: string, size: number[]) => ({
    name,
    type: {
      tensorType: {
        elemType: DATA_TYPE.FLOAT,
        shape: { dim: [{ dimParam: 'batch' }, ...size.map((dimValue) => ({ dimValue }))] },
      },
    },
  });
  const reference = ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    producerName: 'deep-incubation',
    producerVersion: '1',
    graph: {
      name: 'classifier',
      node: [node, { ...node, attribute: [], output: ['a', 'b'] }],
      initializer: [
        { name: 'w', dataType: 1, dims: [125, 140], rawData: data },
        { name: 'scalar', dataType: 7, dims: [], rawData: data.subarray(0, 8) },
        {
          name: 'far',
          dataType: 1,
          dims: [2 ** 32, 1],
          dataLocation: 1,
          externalData: Object.entries(external).map(([key, each]) => ({ key, value: String(each) })),
        },
      ],
      input: [value('pixels', [3, 224, 224])],
      output: [value('logits', [0])],
    },
    metadataProps: [
      { key: 'names', value: '["Tür"]' },
      { key: 'empty', value: '' },
    ],
  }).finish();
  expect(Buffer.compare(Buffer.concat(encoded), reference)).toBe(0);
});
