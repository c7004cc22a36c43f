import { InputError } from '../../base/errors.js';
import { type ChosenWeights, chooseWeights, kindOf, type WeightsKind } from './weights-choice.js';

/** Maps stage-local names to tensors: their data, or the location from which to read them. */
export type StageTensors<T> = ReadonlyMap<string, T>;

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
export function splitStages<T>(state: ReadonlyMap<string, T>, path: string, endOf: EndOf): StageTensors<T>[] {
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
export function dividedNames<T>(stages: readonly StageTensors<T>[]): Map<string, T> {
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

/** Parts that torch.compile, FSDP and activation checkpointing add to names, at any depth. */
const INNER_WRAPPERS =
  /(^|\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)(?=\.)/g;

interface Peeled<T> {
  readonly named: ReadonlyMap<string, T>;
  /** Present if there was a choice, or a prefix shows that the weights are averaged. */
  readonly chosen?: ChosenWeights;
}

/**
 * Removes the prefix that a model's tensors share, such as `module.backbone.`. Tensors with only a part of the prefix, such
 * as a head next to the backbone, lose that part. If there are several models, such as a student and a teacher, one is
 * chosen; see `chooseWeights`.
 * @param anchors each matches the name of a tensor that a model has exactly once; its first group is the prefix
 * @throws InputError if there are several models of one kind
 */
export function peelPrefix<T>(
  state: ReadonlyMap<string, T>,
  path: string,
  { anchors, wanted }: { readonly anchors: readonly RegExp[]; readonly wanted?: WeightsKind | undefined },
): Peeled<T> {
  const names = withoutInnerWrappers(state);
  const prefixOf = (name: string) => anchors.flatMap((anchor) => anchor.exec(name)?.[1] ?? []);
  const prefixes = [...new Set([...names.keys()].flatMap(prefixOf))];
  if (prefixes.length === 0) return { named: withoutWrappers(names) };
  const candidates = prefixes.map((prefix) => ({
    name: prefix || 'names without a prefix',
    prefix,
    kind: kindOf(prefix),
  }));
  const { taken, chosen } = chooseWeights(candidates, wanted, path);
  const rivals = candidates.filter(({ kind }) => kind === taken.kind);
  if (rivals.length > 1) {
    throw new InputError(`${path}: contains several models: ${rivals.map(({ name }) => name).join(', ')}`, {
      hint: 'save the state dict of one of them in a separate file',
    });
  }
  const named = new Map<string, T>();
  for (const [name, tensor] of names) {
    const rest = within(name, taken.prefix, prefixes);
    if (rest !== undefined) named.set(rest, tensor);
  }
  return chosen === undefined ? { named } : { named, chosen };
}

/** A prefix and its parents, longest first: `a.b.`, `a.`, and the empty one. */
function parentsOf(prefix: string): string[] {
  const parts = prefix.split('.').slice(0, -1);
  return Array.from({ length: parts.length + 1 }, (_, i) =>
    parts
      .slice(0, parts.length - i)
      .map((part) => `${part}.`)
      .join(''),
  );
}

/** Removes the prefix, or the part of it that a name has; undefined if the name belongs to a model with another prefix. */
function within(name: string, prefix: string, prefixes: readonly string[]): string | undefined {
  const shared = (of: string) => parentsOf(of).find((parent) => name.startsWith(parent)) ?? '';
  const own = shared(prefix);
  const isOthers = prefixes.some((other) => other !== prefix && shared(other).length > own.length);
  return isOthers ? undefined : name.slice(own.length);
}

function withoutInnerWrappers<T>(state: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return new Map([...state].map(([name, tensor]) => [bare(name), tensor]));
}

function bare(name: string): string {
  const without = name.replaceAll(INNER_WRAPPERS, '').replace(/^\./, '');
  return without === '' ? name : without;
}
