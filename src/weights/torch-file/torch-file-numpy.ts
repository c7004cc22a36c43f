import { InputError } from '../../base/errors.js';
import { describe, hasKind, type PickleObject, type PickleValue } from './pickle-values.js';

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
export function numpyDType(args: readonly PickleValue[], source: string): PickleObject {
  const code = args[0];
  if (typeof code !== 'string' || !Object.hasOwn(READERS, code)) {
    throw new InputError(`${source}: a numpy dtype that is not a plain number; refused`);
  }
  const dtype: NumpyDType = { kind: 'numpy.dtype', code };
  return dtype;
}

/** Checks the state of a dtype: `(3, byte order, None, None, None, -1, -1, 0)` for all supported ones. */
export function checkNumpyState(state: PickleValue, source: string): void {
  const order = Array.isArray(state) ? state[1] : undefined;
  if (order !== '<' && order !== '|')
    throw new InputError(`${source}: a numpy dtype that is not little-endian; refused`);
}

/** Handles `_codecs.encode(text, 'latin1')`, the form of bytes in protocol 2. A scalar has at most 8. */
export function encodeLatin1(args: readonly PickleValue[], source: string): Uint8Array {
  const [text, encoding] = args;
  if (typeof text !== 'string' || text.length > 8 || encoding !== 'latin1') {
    throw new InputError(`${source}: _codecs.encode of data other than the bytes of a number; refused`);
  }
  return Buffer.from(text, 'latin1');
}

/** Converts `scalar(dtype, bytes)` to a plain number or boolean. */
export function numpyScalar(args: readonly PickleValue[], source: string): number | bigint | boolean {
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

export function isNumpyDType(value: PickleValue): value is NumpyDType {
  return hasKind(value, 'numpy.dtype');
}

function exact(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
