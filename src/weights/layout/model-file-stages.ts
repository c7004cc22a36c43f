import { InputError } from '../../base/errors.js';

/** Stage-local names to whatever stands for a tensor: its data, or where to read it. */
export type Stage<T> = ReadonlyMap<string, T>;

const STAGE_NAME = /^stages\.(\d+)\.(.+)$/;
const FIRST_STAGE = /^(cls_token|dist_token|pos_embed|patch_embed\..*|conv1\..*|bn1\..*)$/;
const LAST_STAGE = /^(norm|fc_norm|head|head_dist|fc)\./;

/** What DistributedDataParallel, torch.compile and training programs put before every name. */
const WRAPPERS = ['module.', '_orig_mod.', 'model.', 'net.', 'network.'];

/**
 * Sorts a state dict into stages, with stage-local names (docs/method.md, "What a stage does in a hybrid"). With
 * `stages.<i>.<name>` in it, names beside them are the official model's second view of the same
 * tensors: the embedding belongs to the first stage, norm and head to the last, unless they have
 * their own; `blocks.*` are copies. Without, the model is undivided: one stage.
 */
export function splitStages<T>(state: ReadonlyMap<string, T>, path: string): Stage<T>[] {
  const named = withoutWrappers(state);
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
    const end = endOf(name);
    if (end === undefined && !name.startsWith('blocks.')) {
      throw new InputError(
        `${path}: the tensor ${name} belongs to none of the file's ${stages.length} stages`,
      );
    }
    const owner = end && stages.at(end === 'first' ? 0 : -1);
    if (owner && !owner.has(name)) owner.set(name, tensor);
  }
  return stages;
}

/** Whether a name is such as `stages.0.blocks.0.norm1.bias`. */
export function isDivided(name: string): boolean {
  return STAGE_NAME.test(name);
}

/** The stage to which a tensor outside the blocks belongs: embeddings to the first, norm and heads to the last. */
export function endOf(name: string): 'first' | 'last' | undefined {
  if (FIRST_STAGE.test(name)) return 'first';
  return LAST_STAGE.test(name) ? 'last' : undefined;
}

/** A state dict without the wrappers that all of its names share. */
export function withoutWrappers<T>(state: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  const prefix = WRAPPERS.find((each) => [...state.keys()].every((name) => name.startsWith(each)));
  if (prefix === undefined || state.size === 0) return state;
  return withoutWrappers(new Map([...state].map(([name, tensor]) => [name.slice(prefix.length), tensor])));
}
