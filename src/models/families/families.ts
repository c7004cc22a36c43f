import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import type { ModelFamily } from '../family.js';
import { resnetFamily } from '../resnet/family.js';
import { resnetSection } from '../resnet/section.js';
import { vitFamily } from '../vit/family.js';
import { vitSection } from '../vit/section.js';

/** The first is the default of a recipe that names no family. */
const FAMILIES: readonly ModelFamily[] = [vitFamily, resnetFamily] as readonly ModelFamily[];

/** The section `model` of a recipe, for the built-in families. */
export const modelSection = z
  .discriminatedUnion('family', [resnetSection, vitSection], { error: unknownFamily([]) })
  .describe('The target model.');

/**
 * The section `model` of a recipe, for the built-in families and a user's own.
 * @throws InputError if two families have the same name
 */
export function modelSectionWith(own: readonly ModelFamily[]): z.ZodType {
  const names = allFamilies(own).map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) {
    throw new InputError(`families: two model families have the name ${twice}`, {
      hint: `choose another name than ${namesOf([])}, and list each family once`,
    });
  }
  const sections = own.map(({ section }) => section as unknown as typeof vitSection);
  return z.discriminatedUnion('family', [resnetSection, vitSection, ...sections], {
    error: unknownFamily(own),
  });
}

function unknownFamily(own: readonly ModelFamily[]) {
  return ({ code }: { readonly code?: string }) =>
    code === 'invalid_union' ? `expected one of ${namesOf(own)}` : undefined;
}

function namesOf(own: readonly ModelFamily[]): string {
  return allFamilies(own)
    .map(({ name }) => name)
    .join(', ');
}

/** Key of a section `model` that carries the user's own families. It is not enumerable by name, so no file has it. */
const OWN = Symbol('families');

/** The section with the user's families, which `familyOf` finds in it. */
export function withFamilies<T extends object>(section: T, own: readonly ModelFamily[]): T {
  return own.length === 0 ? section : { ...section, [OWN]: own };
}

/** The user's families that a section `model` carries. */
export function familiesIn(section: unknown): readonly ModelFamily[] {
  return Object(section)[OWN] ?? [];
}

/** The family of a section `model` in a recipe or a checkpoint's manifest. */
export function familyOf(
  section: { readonly family?: unknown },
  own: readonly ModelFamily[] = familiesIn(section),
): ModelFamily {
  const { family = FAMILIES[0].name } = section;
  const found = allFamilies(own).find(({ name }) => name === family);
  if (found !== undefined) return found;
  throw new InputError(`model.family ${String(family)} is unknown`, {
    hint: `it must be one of ${namesOf(own)}`,
  });
}

/** The family of staged weights, recognised by tensor names; if no family matches, the first one. */
export function familyOfStages(
  stages: readonly ReadonlyMap<string, unknown>[],
  own: readonly ModelFamily[] = [],
): ModelFamily {
  return recognised(stages, own) ?? FAMILIES[0];
}

/** The family that recognises the tensor names; undefined if none does. */
export function recognised(
  stages: readonly ReadonlyMap<string, unknown>[],
  own: readonly ModelFamily[] = [],
): ModelFamily | undefined {
  const names = stages.flatMap((stage) => [...stage.keys()]);
  // Names that a built-in family recognises may also occur in a user's model.
  return [...own, ...FAMILIES].find((family) => family.recognises(names));
}

/** The built-in families, then the user's own. */
export function allFamilies(own: readonly ModelFamily[] = []): readonly ModelFamily[] {
  return [...FAMILIES, ...own];
}
