import { RunError } from '../../base/errors.js';
import { type DType, dtypeSize, elementCount, type TensorData } from '../../base/tensor-data.js';
import { STORAGE_DTYPES } from './torch-file-globals.js';
import { writeZip, type ZipRecord } from './torch-zip.js';

/** A value that can be written to a torch file; Maps become dictionaries, arrays lists. */
export type TorchValue =
  | null
  | boolean
  | number
  | string
  | TensorData
  | OrderedDict
  | readonly TorchValue[]
  | ReadonlyMap<string | number, TorchValue>;

/** A `collections.OrderedDict`, the type of torch's state dicts. */
interface OrderedDict {
  readonly ordered: ReadonlyMap<string, TorchValue>;
}

const ORDERED_DICT = { kind: 'name', module: 'collections', name: 'OrderedDict' } as const;
const REBUILD_TENSOR = { kind: 'name', module: 'torch._utils', name: '_rebuild_tensor_v2' } as const;

/** The folder in the archive. torch derives its name from the file's, but any name works. */
const FOLDER = 'archive';

const STORAGE_NAMES = new Map(Object.entries(STORAGE_DTYPES).map(([name, dtype]) => [dtype, name]));

/**
 * Returns a function that writes `value` to an open file as `torch.save` does (zip format, torch >= 1.6), readable with
 * `torch.load(..., weights_only=True)`. Tensors with the same bytes share a storage, which is written once.
 * Throws `RunError` if a tensor's data does not match its shape.
 */
export function torchFileWriter(value: TorchValue): (descriptor: number) => void {
  const storages = storageList();
  const pickle = pickleOf(picklable(value, storages.keyOf));
  const text = (name: string, content: string): ZipRecord => ({
    name: `${FOLDER}/${name}`,
    bytes: Buffer.from(content),
  });
  const records: ZipRecord[] = [
    { name: `${FOLDER}/data.pkl`, bytes: pickle },
    text('.format_version', '1'),
    text('.storage_alignment', '64'),
    text('byteorder', 'little'),
    ...storages.all.map((bytes, key) => ({ name: `${FOLDER}/data/${key}`, bytes })),
    text('version', '3\n'),
  ];
  return (descriptor) => writeZip(descriptor, records);
}

type KeyOf = (tensor: TensorData) => string;

/** Numbers storages in the order of their first use. */
function storageList(): { readonly all: Uint8Array[]; readonly keyOf: KeyOf } {
  const all: Uint8Array[] = [];
  const known = new Map<ArrayBufferLike, Map<string, string>>();
  return {
    all,
    keyOf: ({ dtype, data }) => {
      const inBuffer = known.get(data.buffer) ?? new Map<string, string>();
      known.set(data.buffer, inBuffer);
      const place = `${dtype} ${data.byteOffset} ${data.length}`;
      const key = inBuffer.get(place) ?? String(all.push(data) - 1);
      inBuffer.set(place, key);
      return key;
    },
  };
}

function picklable(value: TorchValue, keyOf: KeyOf): Picklable {
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item) => picklable(item, keyOf));
  if (value instanceof Map) return mapped(value, keyOf);
  if ('ordered' in value) {
    return { kind: 'call', callee: ORDERED_DICT, args: [], items: mapped(value.ordered, keyOf) };
  }
  return rebuilt(value as TensorData, keyOf);
}

function mapped<K extends string | number>(
  items: ReadonlyMap<K, TorchValue>,
  keyOf: KeyOf,
): Map<K, Picklable> {
  return new Map([...items].map(([key, item]) => [key, picklable(item, keyOf)]));
}

/** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`, covering its whole storage. */
function rebuilt(tensor: TensorData, keyOf: KeyOf): PickleCall {
  const { dtype, shape, data } = tensor;
  const elements = elementCount(shape);
  if (data.length !== elements * dtypeSize(dtype)) {
    throw new RunError(`a tensor of ${dtype} [${shape}] does not fit ${data.length} bytes`);
  }
  const id = ['storage', storageName(dtype), keyOf(tensor), 'cpu', elements];
  const storage = { kind: 'persistent', id: { kind: 'tuple', items: id } } as const;
  const strides = shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
  const hooks = { kind: 'call', callee: ORDERED_DICT, args: [] } as const;
  return {
    kind: 'call',
    callee: REBUILD_TENSOR,
    args: [storage, 0, { kind: 'tuple', items: shape }, { kind: 'tuple', items: strides }, false, hooks],
  };
}

function storageName(dtype: DType): Picklable {
  const [module, name] = String(STORAGE_NAMES.get(dtype)).split('.');
  return { kind: 'name', module, name };
}

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

interface PickleTuple {
  readonly kind: 'tuple';
  readonly items: readonly Picklable[];
}

/** A name that Python imports, such as `torch.FloatStorage`. */
interface PickleName {
  readonly kind: 'name';
  readonly module: string;
  readonly name: string;
}

/** The result of a call. With `items`, the result is a dictionary to which they are added. */
interface PickleCall {
  readonly kind: 'call';
  readonly callee: PickleName;
  readonly args: readonly Picklable[];
  readonly items?: ReadonlyMap<string | number, Picklable>;
}

/** A reference to an object outside the pickle. */
interface PicklePersistent {
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
