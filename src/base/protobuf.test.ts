import fc from 'fast-check';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import {
  byteLength,
  chunksOf,
  delimited,
  double,
  doubles,
  type Encoded,
  float,
  message,
  whole,
  wholes,
} from './protobuf.js';

const { Writer } = protobuf;
const join = (encoded: Encoded) => Buffer.concat(encoded).toString('hex');
const hex = (writer: protobuf.Writer) => Buffer.from(writer.finish()).toString('hex');

test("each field has the bytes of protobufjs' writer", () => {
  const field = fc.integer({ min: 1, max: 2 ** 28 });
  fc.assert(
    fc.property(
      field,
      fc.maxSafeInteger(),
      fc.string({ unit: 'binary' }),
      fc.float(),
      (id, value, text, real) => {
        const tag = (type: number) => Writer.create().uint32(id * 8 + type);
        expect(join(whole(id, value))).toBe(hex(tag(0).int64(value)));
        expect(join(delimited(id, text))).toBe(hex(tag(2).string(text)));
        expect(join(float(id, real))).toBe(hex(tag(5).float(real)));
        expect(join(double(id, real))).toBe(hex(tag(1).double(real)));
        expect(join(wholes(id, [value, 1]))).toBe(hex(tag(2).fork().int64(value).int64(1).ldelim()));
        expect(join(doubles(id, [real, 1]))).toBe(hex(tag(2).fork().double(real).double(1).ldelim()));
      },
    ),
  );
});

test('a message in chunks has the same bytes, and large pieces are not copied', () => {
  const large = new Uint8Array(100_000).fill(7);
  const encoded = delimited(1, message(delimited(2, 'a'), delimited(3, large), whole(4, 1)));
  const chunks = [...chunksOf(encoded)];
  expect(join(chunks)).toBe(join(encoded));
  expect(chunks).toContain(large);
  expect(chunks).toHaveLength(3);
  expect(byteLength(encoded)).toBe(Buffer.concat(encoded).length);
});
