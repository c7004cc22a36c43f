import { kindOf, type WeightsKind } from '../../weights/layout/weights-choice.js';
import type { PickleKey, PickleValue } from '../../weights/torch-file/pickle-values.js';
import { isTorchTensor } from '../../weights/torch-file/torch-file-tensor.js';

export type Dictionary = Map<PickleKey, PickleValue>;

/** A dictionary of tensors in a file that `torch.save` wrote. */
export interface StateDict {
  /** Path of keys to it, joined by dots; empty for the root dictionary. */
  readonly name: string;
  readonly kind: WeightsKind;
  readonly entries: Dictionary;
}

/** Usual keys of a whole model's state dict, in order of preference; other keys come after them. */
const KEYS = ['state_dict_ema', 'model_ema', 'model', 'state_dict', 'model_state_dict', 'net', 'module'];

/** Keys of dictionaries that are not models. */
const NO_MODEL = /optim|sched|scaler|hparam|hyper|args|config|callback|loops?$|^_/i;

/** Maximum nesting: enough for `ema: { module: { ... } }` and for a checkpoint inside another. */
const DEPTH = 3;

const PATCH_EMBEDDING = /(^|\.)(patch_embed\.proj|patch_embeddings\.projection)\.weight$/;

/**
 * The state dicts in a file's root dictionary, in order of preference: those with a vision transformer if there are any, else
 * those under usual keys, else the root itself if it has tensors.
 */
export function stateDictsIn(root: Dictionary): StateDict[] {
  const found = [...nested(root, [], DEPTH)].sort((a, b) => rankOf(a) - rankOf(b));
  const transformers = found.filter(isTransformer);
  if (transformers.length > 0) return transformers;
  const known = found.filter(({ name }) => KEYS.includes(name));
  if (known.length > 0 || !hasTensors(root)) return known;
  return [{ name: '', kind: 'raw', entries: root }];
}

function isTransformer({ entries }: StateDict): boolean {
  return [...entries.keys()].some((key) => PATCH_EMBEDDING.test(String(key)));
}

function* nested(dictionary: Dictionary, above: readonly string[], depth: number): Generator<StateDict> {
  if (depth === 0) return;
  for (const [key, value] of dictionary) {
    if (typeof key !== 'string' || NO_MODEL.test(key) || !(value instanceof Map)) continue;
    const path = [...above, key];
    if (hasTensors(value)) yield { name: path.join('.'), kind: kindOf(path.join('.')), entries: value };
    else yield* nested(value, path, depth - 1);
  }
}

function hasTensors(dictionary: Dictionary): boolean {
  return [...dictionary].some(([key, value]) => typeof key === 'string' && isTorchTensor(value));
}

function rankOf({ name }: StateDict): number {
  const rank = KEYS.indexOf(name);
  return rank < 0 ? KEYS.length : rank;
}
