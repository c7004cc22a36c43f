// The part of Protocol Buffers' wire format that event files need
// (https://protobuf.dev/programming-guides/encoding): a message is the concatenation of its fields' bytes.

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const utf8 = new TextEncoder();

/** Joins fields to a message. */
export function message(...fields: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(fields);
}

/** An int32, int64, bool or enum. `value` is an integer from 0 to the largest safe integer. */
export function whole(field: number, value: number): Uint8Array {
  return message(tag(field, VARINT), varint(value));
}

export function double(field: number, value: number): Uint8Array {
  const bytesField = Buffer.alloc(8);
  bytesField.writeDoubleLE(value);
  return message(tag(field, FIXED64), bytesField);
}

/** Rounded to the nearest float32. */
export function float(field: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return message(tag(field, FIXED32), bytes);
}

/** Text, bytes, or a nested message. */
export function bytes(field: number, value: Uint8Array | string): Uint8Array {
  const content = typeof value === 'string' ? utf8.encode(value) : value;
  return message(tag(field, BYTES), varint(content.length), content);
}

/** `repeated double`, packed. */
export function doubles(field: number, values: readonly number[]): Uint8Array {
  const content = Buffer.alloc(8 * values.length);
  values.forEach((value, index) => {
    content.writeDoubleLE(value, 8 * index);
  });
  return bytes(field, content);
}

function tag(field: number, type: number): Uint8Array {
  return varint(8 * field + type);
}

function varint(value: number): Uint8Array {
  const digits: number[] = [];
  let rest = value;
  // Division instead of shifts, which work on 32 bits.
  for (; rest >= 128; rest = Math.floor(rest / 128)) digits.push((rest % 128) + 128);
  return Uint8Array.of(...digits, rest);
}
