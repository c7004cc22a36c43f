import { InputError } from '../base/errors.js';

/**
 * The names that the patterns match. In a pattern, `*` stands for any characters, including dots. A pattern is matched against
 * the full name (`stages.0.blocks.1.attn.qkv.weight`) and the stage-local name (`blocks.1.attn.qkv.weight`).
 *
 * @example frozenBy(['patch_embed.*', 'blocks.*.attn.*'], names)
 * @param names of all the model's parameters
 * @throws InputError naming a pattern that matches nothing
 */
export function frozenBy(patterns: readonly string[], names: readonly string[]): Set<string> {
  const frozen = patterns.flatMap((pattern) => {
    const expression = expressionOf(pattern);
    const matched = names.filter(
      (name) => expression.test(name) || expression.test(name.replace(/^stages\.\d+\./, '')),
    );
    if (matched.length === 0) {
      throw new InputError(`freeze: the pattern ${pattern} matches no parameter of the model`, {
        hint: `a pattern must match a whole name, such as ${names[0]}; * matches any characters`,
      });
    }
    return matched;
  });
  return new Set(frozen);
}

/** The error of patterns that leave a phase without a parameter to train. */
export function nothingLeft(patterns: readonly string[]): InputError {
  return new InputError(`freeze: ${patterns.join(', ')} leave no parameter to train`, {
    hint: 'remove a pattern, or set freeze only for the phases that still train something: phases.FT.freeze, phases.modules.0.freeze',
  });
}

function expressionOf(pattern: string): RegExp {
  const parts = pattern.split(/\*+/).map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}
