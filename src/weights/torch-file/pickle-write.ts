import { RunError } from '../../base/errors.js';

/** A value that `pickleOf` can write: plain data, and calls of names. Arrays become lists, Maps dictionaries. */
export type Picklable =
  | null
  | boolean
  | number
  | string
  | readonly Picklable[]
  | ReadonlyMap<string | number, Picklable>
  | PickleTuple
  | PickleName
  | PickleCall
  | PicklePersistent;

export interface PickleTuple {
  readonly kind: 'tuple';
  readonly items: readonly Picklable[];
}

/** A name that Python imports, such as `torch.FloatStorage`. */
export interface PickleName {
  readonly kind: 'name';
  readonly module: string;
  readonly name: string;
}

/** The result of a call. With `items`, the result is a dictionary to which they are added. */
export interface PickleCall {
  readonly kind: 'call';
  readonly callee: PickleName;
  readonly args: readonly Picklable[];
  readonly items?: ReadonlyMap<string | number, Picklable>;
}

/** A reference to an object outside the pickle. */
export interface PicklePersistent {
  readonly kind: 'persistent';
  readonly id: Picklable;
}

const MARK = 0x28;
const STOP = 0x2e;

/** A pickle of protocol 2, which torch.save uses (CPython, Lib/pickle.py), without a memo. */
export function pickleOf(value: Picklable): Uint8Array {
  const parts: Uint8Array[] = [Buffer.of(0x80, 2)];
  write(value, (bytes) => parts.push(bytes));
  parts.push(Buffer.of(STOP));
  return Buffer.concat(parts);
}

type Put = (bytes: Uint8Array) => void;

function write(value: Picklable, put: Put): void {
  if (value === null)
    put(Buffer.of(0x4e)); // NONE
  else if (typeof value === 'boolean')
    put(Buffer.of(value ? 0x88 : 0x89)); // NEWTRUE, NEWFALSE
  else if (typeof value === 'number') put(numberBytes(value));
  else if (typeof value === 'string')
    put(withLength(0x58, Buffer.from(value))); // BINUNICODE
  else if (value instanceof Map) {
    put(Buffer.of(0x7d)); // EMPTY_DICT
    writeItems(value, put);
  } else if (Array.isArray(value)) {
    put(Buffer.of(0x5d, MARK)); // EMPTY_LIST
    for (const item of value) write(item, put);
    put(Buffer.of(0x65)); // APPENDS
  } else if ('kind' in value) writeObject(value, put);
}

function writeObject(value: PickleTuple | PickleName | PickleCall | PicklePersistent, put: Put): void {
  if (value.kind === 'name')
    put(Buffer.from(`c${value.module}\n${value.name}\n`)); // GLOBAL
  else if (value.kind === 'tuple') {
    put(Buffer.of(MARK));
    for (const item of value.items) write(item, put);
    put(Buffer.of(0x74)); // TUPLE
  } else if (value.kind === 'persistent') {
    write(value.id, put);
    put(Buffer.of(0x51)); // BINPERSID
  } else {
    write(value.callee, put);
    write({ kind: 'tuple', items: value.args }, put);
    put(Buffer.of(0x52)); // REDUCE
    if (value.items) writeItems(value.items, put);
  }
}

function writeItems(items: ReadonlyMap<string | number, Picklable>, put: Put): void {
  put(Buffer.of(MARK));
  for (const [key, value] of items) {
    write(key, put);
    write(value, put);
  }
  put(Buffer.of(0x75)); // SETITEMS
}

function numberBytes(value: number): Uint8Array {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) return integerBytes(value);
  const bytes = Buffer.of(0x47, 0, 0, 0, 0, 0, 0, 0, 0); // BINFLOAT
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

function integerBytes(value: number): Uint8Array {
  if (value >= 0 && value < 2 ** 8) return Buffer.of(0x4b, value); // BININT1
  if (value >= 0 && value < 2 ** 16) return Buffer.of(0x4d, value & 0xff, value >> 8); // BININT2
  if (value >= -(2 ** 31) && value < 2 ** 31) {
    const bytes = Buffer.of(0x4a, 0, 0, 0, 0); // BININT
    bytes.writeInt32LE(value, 1);
    return bytes;
  }
  const bytes = Buffer.of(0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 0); // LONG1
  bytes.writeBigInt64LE(BigInt(value), 2);
  return bytes;
}

function withLength(opcode: number, content: Uint8Array): Uint8Array {
  if (content.length >= 2 ** 32) throw new RunError('a text of 4 GiB is too long for a pickle');
  const head = Buffer.of(opcode, 0, 0, 0, 0);
  head.writeUInt32LE(content.length, 1);
  return Buffer.concat([head, content]);
}
