/** The training method of E2E, the model that is trained from scratch: end to end, or by local losses. */
export type ScratchWay = 'end_to_end' | 'infopro' | 'dgl';

/**
 * The training method of a run: incubated and assembled modules, a model grown from the meta model without modules, a given
 * model that is fine-tuned, or, if the run trains nothing else, that of E2E.
 */
export type Way = 'incubation' | 'growth' | 'fine_tuning' | ScratchWay;

/** Names shown to users. */
export const WAY_NAMES: Readonly<Record<Way, string>> = {
  incubation: 'Deep Incubation',
  growth: 'Growth',
  fine_tuning: 'Fine-tuning',
  end_to_end: 'End to end',
  infopro: 'InfoPro',
  dgl: 'DGL',
};

/** Whether a run trains only E2E. */
export function isScratch(way: Way): way is ScratchWay {
  return way === 'end_to_end' || way === 'infopro' || way === 'dgl';
}

/** The name of E2E in a run. Runs that train other models have no local losses. */
export function baselineName(way: Way): string {
  return WAY_NAMES[isScratch(way) ? way : 'end_to_end'];
}

/** The training method of a parsed `recipe.json`, by the same rules as `phasesOf`. */
export function wayOf(recipe: unknown): Way {
  const { start, incubation }: { start?: unknown; incubation?: unknown } = Object(recipe);
  const { model }: { model?: unknown } = Object(start);
  if (model !== undefined && model !== null) return 'fine_tuning';
  if (incubation === 'none') return scratchWayOf(recipe);
  return Object(incubation).strategy === 'growth' ? 'growth' : 'incubation';
}

function scratchWayOf(recipe: unknown): ScratchWay {
  const { method } = Object(Object(Object(Object(recipe).phases).E2E).local);
  return method === 'infopro' || method === 'dgl' ? method : 'end_to_end';
}

/** Names of the methods that the runs compare with the baseline; several names are joined with "or". */
export function ownNames(runs: readonly { readonly way: Way }[]): string {
  const names = runs.flatMap(({ way }) => (isScratch(way) ? [] : [WAY_NAMES[way]]));
  return [...new Set(names)].join(' or ') || WAY_NAMES.incubation;
}
