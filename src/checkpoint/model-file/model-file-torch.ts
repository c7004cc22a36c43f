import { InputError } from '../../base/errors.js';
import { joinQkv } from '../layout/layout-qkv.js';
import { type LaidOut, stagesOfState } from '../layout/layout-stages.js';
import { describe, type PickleKey, type PickleValue } from '../torch-file/pickle-values.js';
import { readTorchFile } from '../torch-file/torch-file.js';
import { isTorchTensor, type TorchTensor } from '../torch-file/torch-file-tensor.js';
import { classesInTorch, type FileClasses } from './model-file-classes.js';
import { endOf, withoutWrappers } from './model-file-stages.js';

export interface TorchModel extends LaidOut {
  readonly epoch?: number;
  readonly named: FileClasses | undefined;
}

type Dictionary = Map<PickleKey, PickleValue>;

/** Where training programs put a whole model's state dict: DeiT and the official code, timm. */
const MODEL_KEYS = ['model', 'state_dict'];

/** What of a distilled model is in the official code's `model` alone: its stages leave it out. */
const DISTILLATION = /^(dist_token$|head_dist\.)/;

/**
 * The stages of a `.pth`: the official `model_stages` (a list of state dicts), or the state dict
 * under `model` or `state_dict`, or a bare one. Only their tensors' places are read, not their data.
 */
export async function readTorchStages(path: string): Promise<TorchModel> {
  const root = await readTorchFile(path);
  if (!(root instanceof Map)) throw noWeights(path, `it holds ${describe(root)}`);
  const epoch = root.get('epoch');
  return {
    ...stagesOf(root, path),
    ...(typeof epoch === 'number' && Number.isSafeInteger(epoch) ? { epoch } : {}),
    named: classesInTorch(path, root),
  };
}

function stagesOf(root: Dictionary, path: string): LaidOut {
  const list = root.get('model_stages');
  if (Array.isArray(list) && list.length > 0) return officialStages(root, list, path);
  for (const key of MODEL_KEYS) {
    const model = root.get(key);
    if (model instanceof Map) return stagesOfState(stateDict(model, key, path), path);
  }
  if (![...root.values()].some(isTorchTensor)) {
    throw noWeights(path, `its keys are ${[...root.keys()].slice(0, 8).map(String).join(', ') || 'none'}`);
  }
  return stagesOfState(stateDict(root, 'the state dict', path), path);
}

function officialStages(root: Dictionary, list: readonly PickleValue[], path: string): LaidOut {
  const stages = list.map((state, i) =>
    joinQkv(withoutWrappers(stateDict(state, `model_stages[${i}]`, path)), path),
  );
  const model = root.get('model');
  const whole = withoutWrappers(
    new Map([...(model instanceof Map ? model : [])].map(([name, tensor]) => [String(name), tensor])),
  );
  for (const [name, tensor] of whole) {
    if (!DISTILLATION.test(name) || !isTorchTensor(tensor)) continue;
    const owner = stages[endOf(name) === 'first' ? 0 : stages.length - 1];
    if (!owner.has(name)) owner.set(name, tensor);
  }
  return { layout: 'official', stages };
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

function noWeights(path: string, what: string): InputError {
  return new InputError(`${path}: no model weights found: ${what}`, {
    hint: 'Expected model_stages, model, state_dict, or a state dict itself.',
  });
}
