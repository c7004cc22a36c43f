import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import type { ModelFamily } from '../family.js';
import { resnetFamily } from '../resnet/family.js';
import { resnetSection } from '../resnet/section.js';
import { vitFamily } from '../vit/family.js';
import { vitSection } from '../vit/section.js';

/** The first is the default of a recipe that names no family. */
const FAMILIES: readonly ModelFamily[] = [vitFamily, resnetFamily] as readonly ModelFamily[];

/** The section `model` of a recipe, for all families. */
export const modelSection = z
  .discriminatedUnion('family', [resnetSection, vitSection], {
    error: ({ code }) =>
      code === 'invalid_union' ? `expected one of ${FAMILIES.map(({ name }) => name).join(', ')}` : undefined,
  })
  .describe('The target model.');

/** The family of a section `model` in a recipe or a checkpoint's manifest. */
export function familyOf(section: { readonly family?: unknown }): ModelFamily {
  const { family = FAMILIES[0].name } = section;
  const found = FAMILIES.find(({ name }) => name === family);
  if (found !== undefined) return found;
  throw new InputError(`model.family ${String(family)} is unknown`, {
    hint: `it must be one of ${FAMILIES.map(({ name }) => name).join(', ')}`,
  });
}

/** The family of staged weights, recognised by tensor names; if no family matches, the first one. */
export function familyOfStages(
  stages: readonly ReadonlyMap<string, unknown>[],
  own: readonly ModelFamily[] = [],
): ModelFamily {
  const names = stages.flatMap((stage) => [...stage.keys()]);
  // Names that a built-in family recognises may also occur in a user's model.
  return [...own, ...FAMILIES].find((family) => family.recognises(names)) ?? FAMILIES[0];
}

/** The built-in families, then the user's own. */
export function allFamilies(own: readonly ModelFamily[] = []): readonly ModelFamily[] {
  return [...FAMILIES, ...own];
}
