/**
 * How a run trains the model that it is about: modules that are incubated and assembled, a given model that is fine-tuned, or
 * nothing but the end-to-end baseline.
 */
export type Way = 'incubation' | 'fine_tuning' | 'end_to_end';

/** What each way is called wherever a person reads it. */
export const WAY_NAMES: Readonly<Record<Way, string>> = {
  incubation: 'Deep Incubation',
  fine_tuning: 'Fine-tuning',
  end_to_end: 'End to end',
};

/** The way of a parsed `recipe.json`, as `phasesOf` reads it. */
export function wayOf(recipe: unknown): Way {
  const { start, incubation }: { start?: unknown; incubation?: unknown } = Object(recipe);
  const { model }: { model?: unknown } = Object(start);
  if (model !== undefined && model !== null) return 'fine_tuning';
  return incubation === 'none' ? 'end_to_end' : 'incubation';
}

/** What the runs trained beside the baseline, in words: several ways are all named. */
export function ownNames(runs: readonly { readonly way: Way }[]): string {
  const names = runs.flatMap(({ way }) => (way === 'end_to_end' ? [] : [WAY_NAMES[way]]));
  return [...new Set(names)].join(' or ') || WAY_NAMES.incubation;
}
