import { InputError } from '../../base/errors.js';
import {
  isDivided,
  peelPrefix,
  type StageTensors,
  splitStages,
  withoutWrappers,
} from '../../weights/layout/model-file-stages.js';
import {
  type ChosenWeights,
  chooseWeights,
  kindOf,
  type WeightsKind,
} from '../../weights/layout/weights-choice.js';
import type { LazyTensor } from '../../weights/lazy-tensor.js';
import { describe, type PickleKey, type PickleValue } from '../../weights/torch-file/pickle-values.js';
import { readTorchFile } from '../../weights/torch-file/torch-file.js';
import { isTorchTensor, type TorchTensor } from '../../weights/torch-file/torch-file-tensor.js';
import { allFamilies, familyOfStages, recognised } from '../families/families.js';
import type { ModelFamily } from '../family.js';
import type { Layout } from '../layout.js';
import { classesInTorch, type FileClasses } from './model-file-classes.js';

type Dictionary = Map<PickleKey, PickleValue>;

/** A dictionary of tensors in a file that `torch.save` wrote. */
interface StateDict {
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
function stateDictsIn(root: Dictionary): StateDict[] {
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

interface TorchModel extends LaidOut {
  readonly epoch?: number;
  readonly named: FileClasses | undefined;
}

/**
 * The stages of a `.pth`: the official `model_stages` (a list of state dicts), or a state dict under a key such as
 * `model` or `state_dict_ema`, or a bare one. Reads only the locations of their tensors, not their data.
 */
export async function readTorchStages(path: string, options: LayoutOptions = {}): Promise<TorchModel> {
  const root = await readTorchFile(path);
  if (!(root instanceof Map)) throw noWeights(path, `it contains ${describe(root)}`);
  const epoch = root.get('epoch');
  const model = { ...stagesOf(root, path, options), named: classesInTorch(path, root) };
  return typeof epoch === 'number' && Number.isSafeInteger(epoch) ? { ...model, epoch } : model;
}

/** All tensors of a file that contains one state dict, such as one shard of a model. */
export async function readTorchState(path: string): Promise<ReadonlyMap<string, TorchTensor>> {
  const root = await readTorchFile(path);
  if (!(root instanceof Map)) throw noWeights(path, `it contains ${describe(root)}`);
  return stateDict(root, 'the state dict', path);
}

function stagesOf(root: Dictionary, path: string, { wanted, families }: LayoutOptions): LaidOut {
  const list = root.get('model_stages');
  const isOfficial = Array.isArray(list) && list.length > 0;
  const found: readonly Candidate[] = stateDictsIn(root);
  // In a file with `model_stages`, `model` contains the same tensors under other names.
  const candidates = isOfficial
    ? [{ name: 'model_stages', kind: 'raw' as const }, ...found.filter(({ name }) => name !== 'model')]
    : found;
  if (candidates.length === 0) throw noStateDict(root, path);
  const [only] = candidates;
  // A single state dict may contain both kinds, under different prefixes.
  const isOne = candidates.length === 1 && only.kind === 'raw';
  const { taken, chosen } = isOne ? { taken: only } : chooseWeights(candidates, wanted, path);
  const { entries, name } = taken;
  const laidOut = entries
    ? stagesOfState(stateDict(entries, name || 'the state dict', path), path, {
        wanted: isOne ? wanted : undefined,
        families,
      })
    : officialStages(root, list as readonly PickleValue[], path, families);
  return chosen === undefined ? laidOut : { ...laidOut, chosen };
}

/** `entries` is undefined for the official list of stages. */
type Candidate = Pick<StateDict, 'name' | 'kind'> & Partial<Pick<StateDict, 'entries'>>;

function officialStages(
  root: Dictionary,
  list: readonly PickleValue[],
  path: string,
  families: LayoutOptions['families'],
): LaidOut {
  const named = list.map((state, i) => withoutWrappers(stateDict(state, `model_stages[${i}]`, path)));
  const { endOf, joined = (stage) => stage, layouts } = familyOfStages(named, families);
  const stages = named.map((stage) => new Map<string, LazyTensor>(joined(stage, path)));
  const { isOutsideStages = () => false } = layouts.find(({ name }) => name === 'official') ?? {};
  const model = root.get('model');
  const whole = withoutWrappers(
    new Map([...(model instanceof Map ? model : [])].map(([name, tensor]) => [String(name), tensor])),
  );
  for (const [name, tensor] of whole) {
    if (!isOutsideStages(name) || !isTorchTensor(tensor)) continue;
    const owner = stages[endOf(name) === 'first' ? 0 : stages.length - 1];
    if (!owner.has(name)) owner.set(name, tensor);
  }
  return { layout: 'official', stages, leftOut: [] };
}

function stateDict(value: PickleValue, where: string, path: string): ReadonlyMap<string, TorchTensor> {
  if (!(value instanceof Map) || value.size === 0) {
    throw new InputError(`${path}: ${where} is ${describe(value)}, not a state dict with tensors`);
  }
  const state = new Map<string, TorchTensor>();
  for (const [name, tensor] of value) {
    if (typeof name !== 'string' || !isTorchTensor(tensor)) {
      throw new InputError(`${path}: in ${where}, '${String(name)}' is ${describe(tensor)}, not a tensor`);
    }
    state.set(name, tensor);
  }
  return state;
}

function noStateDict(root: Dictionary, path: string): InputError {
  return noWeights(path, `its keys are ${[...root.keys()].slice(0, 8).map(String).join(', ') || 'none'}`);
}

function noWeights(path: string, what: string): InputError {
  return new InputError(`${path}: no model weights found: ${what}`, {
    hint: 'Expected model_stages, a state dict under a key such as model or state_dict, or a state dict itself.',
  });
}

export interface LaidOut {
  readonly layout: Layout;
  readonly stages: readonly StageTensors<LazyTensor>[];
  /** Names of the file's tensors that a classifier does not use. */
  readonly leftOut: readonly string[];
  /** Present if the file has averaged weights, or several. */
  readonly chosen?: ChosenWeights;
}

interface LayoutOptions {
  /** Plain or averaged weights, if both are present under different prefixes; default: averaged. */
  readonly wanted?: WeightsKind | undefined;
  /** The user's own families. */
  readonly families?: readonly ModelFamily[] | undefined;
}

/** Detects a state dict's layout from its names, and returns its stages with this program's names; see `splitStages`. */
export function stagesOfState(
  state: ReadonlyMap<string, LazyTensor>,
  path: string,
  { wanted, families }: LayoutOptions = {},
): LaidOut {
  const known = allFamilies(families);
  const anchors = known.flatMap(({ anchor }) => anchor ?? []);
  const { named, chosen } = peelPrefix(state, path, { anchors, wanted });
  const choice = chosen === undefined ? {} : { chosen };
  const names = [...named.keys()];
  // This program's files contain only such names; within a stage, a user's own model may have any names.
  if (names.every(isDivided)) {
    const stages = splitStages(named, path, () => undefined);
    const family = recognised(stages, families);
    const whole = stages.map((stage) => family?.joined?.(stage, path) ?? stage);
    return { layout: 'deep-incubation', stages: whole, leftOut: [], ...choice };
  }
  const layouts = known.flatMap((family) => family.layouts);
  // Reading unknown names in the most common layout names the tensors that are missing.
  const layout = layouts.find((each) => each.recognises(names)) ?? layouts[0];
  return { layout: layout.name, ...layout.read(named, path), ...choice };
}
