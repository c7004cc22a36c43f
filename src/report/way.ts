/**
 * The training method of a run: incubated and assembled modules, a model grown from the meta model without modules, a given
 * model that is fine-tuned, or only the end-to-end baseline.
 */
export type Way = 'incubation' | 'growth' | 'fine_tuning' | 'end_to_end';

/** Names shown to users. */
export const WAY_NAMES: Readonly<Record<Way, string>> = {
  incubation: 'Deep Incubation',
  growth: 'Growth',
  fine_tuning: 'Fine-tuning',
  end_to_end: 'End to end',
};

/** The training method of a parsed `recipe.json`, by the same rules as `phasesOf`. */
export function wayOf(recipe: unknown): Way {
  const { start, incubation }: { start?: unknown; incubation?: unknown } = Object(recipe);
  const { model }: { model?: unknown } = Object(start);
  if (model !== undefined && model !== null) return 'fine_tuning';
  if (incubation === 'none') return 'end_to_end';
  return Object(incubation).strategy === 'growth' ? 'growth' : 'incubation';
}

/** Names of the methods that the runs compare with the baseline; several names are joined with "or". */
export function ownNames(runs: readonly { readonly way: Way }[]): string {
  const names = runs.flatMap(({ way }) => (way === 'end_to_end' ? [] : [WAY_NAMES[way]]));
  return [...new Set(names)].join(' or ') || WAY_NAMES.incubation;
}
