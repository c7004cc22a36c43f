import { InputError } from '../../base/errors.js';

/** Maps stage-local names to tensors: their data, or the location from which to read them. */
export type Stage<T> = ReadonlyMap<string, T>;

/** The stage of a tensor outside the blocks: the first for the stem, the last for the head; undefined if the model has no such tensor. */
export type EndOf = (name: string) => 'first' | 'last' | undefined;

const STAGE_NAME = /^stages\.(\d+)\.(.+)$/;

/** Prefixes that DistributedDataParallel, torch.compile and training programs add to every name. */
const WRAPPERS = ['module.', '_orig_mod.', 'model.', 'net.', 'network.'];

/**
 * Splits a state dict into stages, with stage-local names (docs/method.md, "What a stage does in a hybrid"). If it has names
 * of the form `stages.<i>.<name>`, its other names are the official model's second view of the same tensors: the stem's are
 * added to the first stage, the head's to the last, unless these stages have them already; `blocks.*` are copies and are
 * ignored. Otherwise the model is undivided: one stage.
 */
export function splitStages<T>(state: ReadonlyMap<string, T>, path: string, endOf: EndOf): Stage<T>[] {
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
      throw new InputError(`${path}: has ${byIndex.size} stages, but stages.${i} is missing`);
    return stage;
  });
  for (const [name, tensor] of beside) {
    const end = endOf(name);
    if (end === undefined && !name.startsWith('blocks.')) {
      throw new InputError(
        `${path}: the tensor ${name} does not belong to any of the file's ${stages.length} stages`,
      );
    }
    const owner = end && stages.at(end === 'first' ? 0 : -1);
    if (owner && !owner.has(name)) owner.set(name, tensor);
  }
  return stages;
}

/** The stages' tensors with the names of this program's files: `stages.<i>.<name>`. */
export function dividedNames<T>(stages: readonly Stage<T>[]): Map<string, T> {
  return new Map(
    stages.flatMap((stage, i) =>
      [...stage].map(([name, tensor]) => [`stages.${i}.${name}`, tensor] as const),
    ),
  );
}

/** Whether a name has the form `stages.0.blocks.0.norm1.bias`. */
export function isDivided(name: string): boolean {
  return STAGE_NAME.test(name);
}

/** Number of blocks in one stage. Throws `InputError` naming `where` unless they are numbered from 0 without gaps. */
export function blockCount(names: Iterable<string>, where: string): number {
  const found = new Set<string>();
  for (const name of names) {
    const match = /^blocks\.(\d+)\./.exec(name);
    if (match !== null) found.add(match[1]);
  }
  if (found.size === 0) throw new InputError(`${where} has no blocks`);
  const absent = Array.from({ length: found.size }, (_, i) => String(i)).find((index) => !found.has(index));
  if (absent !== undefined)
    throw new InputError(`${where}.blocks.${absent} is missing, but a later block exists`);
  return found.size;
}

/** Removes the wrapper prefixes that all names of a state dict share. */
export function withoutWrappers<T>(state: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  const prefix = WRAPPERS.find((each) => [...state.keys()].every((name) => name.startsWith(each)));
  if (prefix === undefined || state.size === 0) return state;
  return withoutWrappers(new Map([...state].map(([name, tensor]) => [name.slice(prefix.length), tensor])));
}
