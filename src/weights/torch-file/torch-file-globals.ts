import { InputError } from '../../base/errors.js';
import type { DType } from '../../base/tensor-data.js';
import {
  describe,
  hasKind,
  isGlobal,
  type PickleGlobal,
  type PickleKey,
  type PickleObject,
  type PickleValue,
  type PickleWorld,
} from './pickle-values.js';
import {
  isTorchStorage,
  isTorchTensor,
  MAX_DIMENSIONS,
  type TorchStorage,
  tensorOn,
} from './torch-file-tensor.js';

/** An `argparse.Namespace`, in which official checkpoints store their command line. */
interface TorchNamespace extends PickleObject {
  readonly kind: 'namespace';
  attributes: ReadonlyMap<PickleKey, PickleValue>;
}

type Call = (args: readonly PickleValue[], source: string) => PickleValue;

export const STORAGE_DTYPES: Readonly<Record<string, DType>> = {
  'torch.DoubleStorage': 'F64',
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
};

/** The callables that a pickle may call. */
const CALLS: Readonly<Record<string, Call>> = {
  'collections.OrderedDict': (args, source) => {
    if (args.length > 0) throw unexpected('collections.OrderedDict', args, source);
    return new Map();
  },
  'torch.Size': (args, source) => numbers(args[0], 'torch.Size', source),
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_parameter': (args, source) => {
    if (!isTorchTensor(args[0])) throw unexpected('torch._utils._rebuild_parameter', args, source);
    return args[0];
  },
  'argparse.Namespace': (args, source) => {
    if (args.length > 0) throw unexpected('argparse.Namespace', args, source);
    const namespace: TorchNamespace = { kind: 'namespace', attributes: new Map() };
    return namespace;
  },
  'numpy.dtype': numpyDType,
  'numpy.core.multiarray.scalar': numpyScalar,
  'numpy._core.multiarray.scalar': numpyScalar,
  '_codecs.encode': encodeLatin1,
};

/**
 * The few names that a torch checkpoint needs; any other name is rejected with an error that names it.
 * @param storage finds a storage of the file by its key
 */
export function torchWorld(
  storage: (key: string, dtype: DType, elements: number) => TorchStorage,
  source: string,
): PickleWorld {
  const persistent = (id: PickleValue): PickleValue => {
    const [tag, type, key, , elements] = Array.isArray(id) ? id : [];
    if (tag !== 'storage' || !isGlobal(type) || typeof key !== 'string' || typeof elements !== 'number') {
      throw new InputError(`${source}: refers to an object that is not a storage`);
    }
    if (!Object.hasOwn(STORAGE_DTYPES, type.name))
      throw new InputError(`${source}: ${type.name} is not a storage`);
    return storage(key, STORAGE_DTYPES[type.name], elements);
  };
  return {
    global: (name) => globalOf(name, source),
    persistent,
    build: (target, state) => build(target, state, source),
  };
}

function globalOf(name: string, source: string): PickleGlobal {
  if (Object.hasOwn(CALLS, name)) return { kind: 'global', name, call: (args) => CALLS[name](args, source) };
  if (Object.hasOwn(STORAGE_DTYPES, name)) return { kind: 'global', name };
  if (/^torch\.\w+Storage$/.test(name))
    throw new InputError(`${source}: tensors of ${name} are not supported`);
  throw new InputError(
    `${source}: the file imports \`${name}\`, which a checkpoint does not need; refused, no code was run`,
    { hint: 'If you trust the file, load it in Python and save only its state dict with torch.save.' },
  );
}

/** Handles `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`. */
function rebuildTensor(args: readonly PickleValue[], source: string): PickleValue {
  const name = 'torch._utils._rebuild_tensor_v2';
  const [storage, offset, shape, strides] = args;
  if (!isTorchStorage(storage) || typeof offset !== 'number') throw unexpected(name, args, source);
  const view = { offset, shape: numbers(shape, name, source), strides: numbers(strides, name, source) };
  return tensorOn(storage, view, source);
}

function build(target: PickleValue, state: PickleValue, source: string): void {
  if (isNumpyDType(target)) checkNumpyState(state, source);
  else if (isNamespace(target) && state instanceof Map) target.attributes = state;
  else throw new InputError(`${source}: sets the state of ${describe(target)}; refused`);
}

/**
 * Copies a list of numbers, at most as many as a tensor can have dimensions. It must be a copy: if the pickle
 * changes its list later, a tensor that was already checked must not change.
 */
function numbers(value: PickleValue | undefined, name: string, source: string): number[] {
  if (!Array.isArray(value) || value.length > MAX_DIMENSIONS) throw unexpected(name, [value ?? null], source);
  return value.map((size) => {
    if (typeof size !== 'number') throw unexpected(name, [size], source);
    return size;
  });
}

function isNamespace(value: PickleValue): value is TorchNamespace {
  return hasKind(value, 'namespace');
}

function unexpected(name: string, args: readonly PickleValue[], source: string): InputError {
  return new InputError(
    `${source}: calls ${name} with (${args.slice(0, 6).map(describe).join(', ')}), which torch.save never writes`,
  );
}

// Reads numpy scalars, which training code often leaves in a checkpoint (`best_acc = np.float64(...)`).

interface NumpyDType extends PickleObject {
  readonly kind: 'numpy.dtype';
  readonly code: string;
}

const READERS: Readonly<Record<string, (view: DataView) => number | bigint | boolean>> = {
  f8: (view) => view.getFloat64(0, true),
  f4: (view) => view.getFloat32(0, true),
  i8: (view) => exact(view.getBigInt64(0, true)),
  i4: (view) => view.getInt32(0, true),
  i2: (view) => view.getInt16(0, true),
  i1: (view) => view.getInt8(0),
  u8: (view) => exact(view.getBigUint64(0, true)),
  u4: (view) => view.getUint32(0, true),
  u2: (view) => view.getUint16(0, true),
  u1: (view) => view.getUint8(0),
  b1: (view) => view.getUint8(0) !== 0,
};

/** Handles `numpy.dtype('f8', False, True)`. */
function numpyDType(args: readonly PickleValue[], source: string): PickleObject {
  const code = args[0];
  if (typeof code !== 'string' || !Object.hasOwn(READERS, code)) {
    throw new InputError(`${source}: a numpy dtype that is not a plain number; refused`);
  }
  const dtype: NumpyDType = { kind: 'numpy.dtype', code };
  return dtype;
}

/** Checks the state of a dtype: `(3, byte order, None, None, None, -1, -1, 0)` for all supported ones. */
function checkNumpyState(state: PickleValue, source: string): void {
  const order = Array.isArray(state) ? state[1] : undefined;
  if (order !== '<' && order !== '|')
    throw new InputError(`${source}: a numpy dtype that is not little-endian; refused`);
}

/** Handles `_codecs.encode(text, 'latin1')`, the form of bytes in protocol 2. A scalar has at most 8. */
function encodeLatin1(args: readonly PickleValue[], source: string): Uint8Array {
  const [text, encoding] = args;
  if (typeof text !== 'string' || text.length > 8 || encoding !== 'latin1') {
    throw new InputError(`${source}: _codecs.encode of data other than the bytes of a number; refused`);
  }
  return Buffer.from(text, 'latin1');
}

/** Converts `scalar(dtype, bytes)` to a plain number or boolean. */
function numpyScalar(args: readonly PickleValue[], source: string): number | bigint | boolean {
  const [dtype, bytes] = args;
  if (!isNumpyDType(dtype) || !(bytes instanceof Uint8Array)) {
    throw new InputError(
      `${source}: a numpy scalar made of ${describe(dtype)} and ${describe(bytes)}; refused`,
    );
  }
  if (bytes.length !== Number(dtype.code.slice(1))) {
    throw new InputError(`${source}: a numpy scalar of type ${dtype.code} with ${bytes.length} bytes`);
  }
  return READERS[dtype.code](new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
}

function isNumpyDType(value: PickleValue): value is NumpyDType {
  return hasKind(value, 'numpy.dtype');
}

function exact(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
