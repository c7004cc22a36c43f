import { InputError } from '../../base/errors.js';

/** Reads a pickle sequentially; every read is checked against the end. */
export interface Cursor {
  /** Marks the current offset as that of the current opcode, for messages. */
  mark(): void;
  u8(): number;
  u16(): number;
  u32(): number;
  i32(): number;
  /** A 64-bit length. Values beyond 2^53 are rounded; no file is that long, so a read of that length fails. */
  u64(): number;
  /** Big-endian, as pickle writes floats. */
  f64(): number;
  /** A view of the next `length` bytes. */
  bytes(length: number): Uint8Array;
  utf8(length: number): string;
  /** Latin-1 text up to the next newline, which is skipped. */
  line(): string;
  fail(message: string): never;
}

export function cursorOf(data: Uint8Array, source: string): Cursor {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let at = 0;
  let opcodeAt = 0;
  const fail = (message: string): never => {
    throw new InputError(`${source}: pickle byte ${opcodeAt}: ${message}`, {
      hint: 'The file is damaged, or was not written by torch.save.',
    });
  };
  const advance = (length: number): number => {
    if (!(length <= data.length - at)) fail('the pickle ends inside an instruction');
    const start = at;
    at += length;
    return start;
  };
  const bytes = (length: number) => {
    const start = advance(length);
    return data.subarray(start, start + length);
  };
  return {
    mark: () => {
      opcodeAt = at;
    },
    u8: () => view.getUint8(advance(1)),
    u16: () => view.getUint16(advance(2), true),
    u32: () => view.getUint32(advance(4), true),
    i32: () => view.getInt32(advance(4), true),
    u64: () => Number(view.getBigUint64(advance(8), true)),
    f64: () => view.getFloat64(advance(8), false),
    bytes,
    utf8: (length) => {
      const encoded = bytes(length);
      try {
        return text.decode(encoded);
      } catch {
        return fail('a string is not UTF-8');
      }
    },
    line: () => {
      const end = data.indexOf(10, at);
      if (end < 0) fail('the pickle ends inside an instruction');
      const line = Buffer.from(bytes(end - at)).toString('latin1');
      advance(1);
      return line;
    },
    fail,
  };
}
