import { InputError } from '../../base/errors.js';
import type { DType } from '../../base/tensor-data.js';
import { readAt, withFile } from '../../files/file-bytes.js';
import { unpickle } from './pickle.js';
import type { PickleValue } from './pickle-values.js';
import { torchWorld } from './torch-file-globals.js';
import { storageOf, type TorchStorage } from './torch-file-tensor.js';
import { notTorch, readStored, readZipDirectory, type StoredEntry } from './torch-zip.js';

/** The pickle of a ViT-H with its optimiser state has less than 1 MB; it does not contain the tensors. */
const MAX_PICKLE_BYTES = 64 * 2 ** 20;

const RESAVE = 'Load it in Python and save its state dict with torch.save (torch 1.6 or later).';

type Directory = ReadonlyMap<string, StoredEntry>;

/**
 * Reads a file that `torch.save` wrote (zip format, torch >= 1.6) without running any code in it: state
 * dicts, lists, numbers, text, `argparse.Namespace` and numpy scalars. Tensor data is read on `load()`, so
 * weights can be read without the optimiser's state in the same file.
 *
 * Throws `InputError` for damaged files, for any other global (naming it), for legacy and
 * TorchScript files, and for tensors that would need more memory than the file has bytes.
 */
export async function readTorchFile(path: string): Promise<PickleValue> {
  refuseLegacy(path);
  const directory = await readZipDirectory(path);
  const prefix = prefixOf(directory, path);
  if (directory.has(`${prefix}constants.pkl`)) {
    throw new InputError(`${path}: is a TorchScript archive, not a checkpoint`, { hint: RESAVE });
  }
  await refuseBigEndian(directory.get(`${prefix}byteorder`));
  return unpickle(
    await readPickle(directory, prefix, path),
    torchWorld(storagesOf(directory, prefix, path), path),
    path,
  );
}

/** The folder inside the archive, which torch.save names after the file. */
function prefixOf(directory: Directory, path: string): string {
  const [name, another] = [...directory.keys()].filter((entry) => /^[^/]*\/data\.pkl$/.test(entry));
  if (name === undefined || another !== undefined) throw notTorch(path, 'it needs exactly one data.pkl');
  return name.slice(0, -'data.pkl'.length);
}

async function readPickle(directory: Directory, prefix: string, path: string): Promise<Uint8Array> {
  const entry = directory.get(`${prefix}data.pkl`);
  if (entry === undefined) throw notTorch(path, 'it has no data.pkl');
  if (entry.bytes > MAX_PICKLE_BYTES)
    throw new InputError(`${path}: a pickle of ${entry.bytes} bytes; refused`);
  return readStored(entry);
}

/** Storages by key, each created once. Copies of their elements share a budget of the file's size. */
function storagesOf(directory: Directory, prefix: string, path: string) {
  const storages = new Map<string, TorchStorage>();
  let budget = withFile(path, ({ size }) => size);
  const claim = (bytes: number) => {
    budget -= bytes;
    if (budget < 0)
      throw new InputError(`${path}: its tensors need more memory than the file has bytes; refused`);
  };
  return (key: string, dtype: DType, elements: number): TorchStorage => {
    const known = storages.get(key);
    if (known?.dtype === dtype && known.elements === elements) return known;
    const entry = directory.get(`${prefix}data/${key}`);
    if (entry === undefined) throw notTorch(path, `the storage ${key} is missing`);
    if (known !== undefined) throw new InputError(`${path}: the storage ${key} is declared with two types`);
    const storage = storageOf(entry, dtype, elements, claim);
    storages.set(key, storage);
    return storage;
  };
}

async function refuseBigEndian(entry: StoredEntry | undefined): Promise<void> {
  if (entry === undefined) return;
  if (entry.bytes === 6 && Buffer.from(await readStored(entry)).toString() === 'little') return;
  throw new InputError(`${entry.path}: was written on a big-endian machine`, { hint: RESAVE });
}

/** Before torch 1.6, a file was a sequence of pickles; the first one is a magic number. */
function refuseLegacy(path: string): void {
  const legacy = withFile(path, (file) => {
    const start = readAt(file, 0, Math.min(file.size, 4));
    return Buffer.from(start).equals(Buffer.from([0x80, 0x02, 0x8a, 0x0a]));
  });
  if (legacy)
    throw new InputError(`${path}: is in torch.save's format from before torch 1.6`, { hint: RESAVE });
}
