import { InputError } from '../../base/errors.js';
import { withoutWrappers } from './model-file-stages.js';
import { type ChosenWeights, chooseWeights, kindOf, type WeightsKind } from './weights-choice.js';

/** Parts that torch.compile, FSDP and activation checkpointing add to names, at any depth. */
const INNER_WRAPPERS =
  /(^|\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)(?=\.)/g;

export interface Peeled<T> {
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
