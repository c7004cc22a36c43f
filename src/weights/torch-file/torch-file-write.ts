import { RunError } from '../../base/errors.js';
import { type DType, dtypeSize, elementCount, type TensorData } from '../../base/tensor-data.js';
import { type Picklable, type PickleCall, pickleOf } from './pickle-write.js';
import { STORAGE_DTYPES } from './torch-file-globals.js';
import { writeZip, type ZipRecord } from './torch-zip-write.js';

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
export interface OrderedDict {
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
