import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import {
  type ChosenWeights,
  chooseWeights,
  type WeightsCandidate,
  type WeightsKind,
} from '../../weights/layout/weights-choice.js';
import type { LazyTensor } from '../../weights/lazy-tensor.js';
import { openSafetensors } from '../../weights/safetensors/safetensors.js';

/**
 * Prefix of the trained weights' names in a checkpoint's `optimizer.safetensors`, if `model.safetensors` contains their
 * averages.
 */
export const RAW = 'raw.';

type State = ReadonlyMap<string, LazyTensor>;

/** The model's tensors in a checkpoint folder of this program, whose phase may have averaged them. */
export function ownWeights(
  folder: string,
  model: State,
  wanted: WeightsKind | undefined,
): { readonly state: State; readonly chosen?: ChosenWeights } {
  const raw = rawWeights(join(folder, 'optimizer.safetensors'), wanted === 'raw');
  const candidates: (WeightsCandidate & { readonly state: State })[] = [
    { name: 'model.safetensors', kind: raw.size === 0 ? 'raw' : 'ema', state: model },
  ];
  if (raw.size > 0) {
    candidates.push({ name: 'optimizer.safetensors', kind: 'raw', state: new Map([...model, ...raw]) });
  }
  const { taken, chosen } = chooseWeights(candidates, wanted, folder);
  return chosen === undefined ? { state: taken.state } : { state: taken.state, chosen };
}

function rawWeights(path: string, isNeeded: boolean): State {
  if (!existsSync(path)) return new Map();
  try {
    const { tensors } = openSafetensors(path);
    return new Map(
      [...tensors].flatMap(([name, tensor]) =>
        name.startsWith(RAW) ? [[name.slice(RAW.length), tensor]] : [],
      ),
    );
  } catch (error) {
    if (isNeeded || !(error instanceof InputError)) throw error;
    return new Map();
  }
}
