import { InputError } from '../base/errors.js';

/** Stage-local names to whatever stands for a tensor: its data, or where to read it. */
export type Stage<T> = ReadonlyMap<string, T>;

const STAGE_NAME = /^stages\.(\d+)\.(.+)$/;
const FIRST_STAGE = /^(cls_token|dist_token|pos_embed|patch_embed\..*)$/;
const LAST_STAGE = /^(norm|fc_norm|head|head_dist)\./;

/**
 * Sorts a state dict into stages, with stage-local names (spec/method.md, section 4). With
 * `stages.<i>.<name>` in it, names beside them are the official model's second view of the same
 * tensors: the embedding belongs to the first stage, norm and head to the last, unless they have
 * their own; `blocks.*` are copies. Without, the model is undivided: one stage.
 * A `module.` before all names (DistributedDataParallel) is dropped.
 */
export function splitStages<T>(state: ReadonlyMap<string, T>, path: string): Stage<T>[] {
  const named = withoutPrefix(state, 'module.');
  const byIndex = new Map<number, Map<string, T>>();
  const beside = new Map<string, T>();
  for (const [name, tensor] of named) {
    const match = STAGE_NAME.exec(name);
    if (match === null) {
      beside.set(name, tensor);
      continue;
    }
    const stage = byIndex.get(Number(match[1])) ?? new Map<string, T>();
    byIndex.set(Number(match[1]), stage.set(match[2], tensor));
  }
  if (byIndex.size === 0) return [named];
  const stages = Array.from({ length: byIndex.size }, (_, i) => {
    const stage = byIndex.get(i);
    if (stage === undefined)
      throw new InputError(`${path}: has ${byIndex.size} stages, but none is stages.${i}`);
    return stage;
  });
  for (const [name, tensor] of beside) {
    const owner = FIRST_STAGE.test(name) ? stages[0] : LAST_STAGE.test(name) ? stages.at(-1) : undefined;
    if (owner === undefined && !name.startsWith('blocks.')) {
      throw new InputError(
        `${path}: the tensor ${name} belongs to none of the file's ${stages.length} stages`,
      );
    }
    if (owner !== undefined && !owner.has(name)) owner.set(name, tensor);
  }
  return stages;
}

export function withoutPrefix<T>(state: ReadonlyMap<string, T>, prefix: string): ReadonlyMap<string, T> {
  if (![...state.keys()].every((name) => name.startsWith(prefix))) return state;
  return new Map([...state].map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}
