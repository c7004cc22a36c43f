import { InputError } from '../../base/errors.js';

/** Maps stage-local names to tensors: their data, or the location from which to read them. */
export type Stage<T> = ReadonlyMap<string, T>;

const STAGE_NAME = /^stages\.(\d+)\.(.+)$/;
const FIRST_STAGE = /^(cls_token|dist_token|pos_embed|patch_embed\..*|conv1\..*|bn1\..*)$/;
const LAST_STAGE = /^(norm|fc_norm|head|head_dist|fc)\./;

/** Prefixes that DistributedDataParallel, torch.compile and training programs add to every name. */
const WRAPPERS = ['module.', '_orig_mod.', 'model.', 'net.', 'network.'];

/**
 * Splits a state dict into stages, with stage-local names (docs/method.md, "What a stage does in a hybrid"). If it has names
 * of the form `stages.<i>.<name>`, its other names are the official model's second view of the same tensors: embeddings are
 * added to the first stage, norm and head to the last, unless these stages have them already; `blocks.*` are copies and are
 * ignored. Otherwise the model is undivided: one stage.
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

/** Whether a name has the form `stages.0.blocks.0.norm1.bias`. */
export function isDivided(name: string): boolean {
  return STAGE_NAME.test(name);
}

/** The stage of a tensor outside the blocks: the first for embeddings, the last for norm and heads. */
export function endOf(name: string): 'first' | 'last' | undefined {
  if (FIRST_STAGE.test(name)) return 'first';
  return LAST_STAGE.test(name) ? 'last' : undefined;
}

/** Removes the wrapper prefixes that all names of a state dict share. */
export function withoutWrappers<T>(state: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  const prefix = WRAPPERS.find((each) => [...state.keys()].every((name) => name.startsWith(each)));
  if (prefix === undefined || state.size === 0) return state;
  return withoutWrappers(new Map([...state].map(([name, tensor]) => [name.slice(prefix.length), tensor])));
}
