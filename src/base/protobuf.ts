// Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding): a message is the concatenation of its
// fields. A message is kept in pieces, so that large byte fields are not copied once per nesting level.

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const utf8 = new TextEncoder();

/** An encoded message or field: the concatenation of its pieces. */
export type Encoded = readonly Uint8Array[];

/** Joins fields to a message. */
export function message(...fields: readonly Encoded[]): Encoded {
  return fields.flat();
}

/** An int32, int64, bool or enum. `value` is a safe integer. */
export function whole(field: number, value: number): Encoded {
  return [tag(field, VARINT), varint(value)];
}

export function double(field: number, value: number): Encoded {
  const bytesField = Buffer.alloc(8);
  bytesField.writeDoubleLE(value);
  return [tag(field, FIXED64), bytesField];
}

/** Rounded to the nearest float32. */
export function float(field: number, value: number): Encoded {
  const bytesField = Buffer.alloc(4);
  bytesField.writeFloatLE(value);
  return [tag(field, FIXED32), bytesField];
}

/** Text, bytes, or a nested message. */
export function delimited(field: number, value: Encoded | Uint8Array | string): Encoded {
  const content =
    typeof value === 'string' ? [utf8.encode(value)] : value instanceof Uint8Array ? [value] : value;
  return [tag(field, BYTES), varint(byteLength(content)), ...content];
}

/** `repeated int64`, packed. No field if there are no values. */
export function wholes(field: number, values: readonly number[]): Encoded {
  return values.length === 0 ? [] : delimited(field, values.map(varint));
}

/** `repeated double`, packed. */
export function doubles(field: number, values: readonly number[]): Encoded {
  const content = Buffer.alloc(8 * values.length);
  values.forEach((value, index) => {
    content.writeDoubleLE(value, 8 * index);
  });
  return delimited(field, content);
}

export function byteLength(encoded: Encoded): number {
  return encoded.reduce((sum, piece) => sum + piece.length, 0);
}

const LARGE_BYTES = 65_536;

/** The same bytes in few pieces: small neighbours are joined, large pieces are not copied. */
export function* chunksOf(encoded: Encoded): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  for (const piece of encoded) {
    if (piece.length < LARGE_BYTES) small.push(piece);
    else {
      yield Buffer.concat(small);
      yield piece;
      small = [];
    }
  }
  yield Buffer.concat(small);
}

function tag(field: number, type: number): Uint8Array {
  return varint(8 * field + type);
}

function varint(value: number): Uint8Array {
  const digits: number[] = [];
  // Negative numbers are in two's complement, of 64 bits.
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 128n; rest >>= 7n) digits.push(Number(rest & 127n) + 128);
  return Uint8Array.of(...digits, Number(rest));
}
