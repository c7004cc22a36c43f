import { InputError } from '../../base/errors.js';

/** `ema`: weights averaged over training steps. `raw`: the weights after the last step. */
export type WeightsKind = 'ema' | 'raw';

/** The weights that were read from a file with several. */
export interface ChosenWeights {
  readonly kind: WeightsKind;
  /** Location in the file: a key, a prefix of the tensors' names, or the name of a file. */
  readonly from: string;
  /** Locations of the file's other weights. */
  readonly others: readonly string[];
}

export interface WeightsCandidate {
  readonly name: string;
  readonly kind: WeightsKind;
}

/** Words in the names of averaged weights: timm, DINO, MoCo, BYOL, torch's SWA, torch_ema. */
const AVERAGED = new Set([
  'ema',
  'swa',
  'averaged',
  'average',
  'avg',
  'teacher',
  'momentum',
  'target',
  'shadow',
]);

/** The kind of weights under a key such as `model_ema`, or under a prefix such as `teacher.backbone.`. */
export function kindOf(name: string): WeightsKind {
  const words = name
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z]+/);
  return words.some((word) => AVERAGED.has(word)) ? 'ema' : 'raw';
}

/**
 * Chooses one of a file's sets of weights: one of the wanted kind, or by default averaged ones if the file has them, as timm
 * does. Takes the first of several of one kind. `chosen` is undefined if the only candidate has plain weights.
 * @throws InputError if the file has none of the wanted kind
 */
export function chooseWeights<T extends WeightsCandidate>(
  candidates: readonly T[],
  wanted: WeightsKind | undefined,
  path: string,
): { readonly taken: T; readonly chosen?: ChosenWeights } {
  const kinds = wanted === undefined ? (['ema', 'raw'] as const) : [wanted];
  const taken = kinds.flatMap((kind) => candidates.find((each) => each.kind === kind) ?? [])[0];
  if (taken === undefined) throw noneOf(wanted ?? 'raw', candidates, path);
  if (candidates.length === 1 && taken.kind === 'raw') return { taken };
  const others = candidates.filter((each) => each !== taken).map(({ name }) => name);
  return { taken, chosen: { kind: taken.kind, from: taken.name, others } };
}

/** Error for weights that a file does not have. */
export function noneOf(wanted: WeightsKind, has: readonly WeightsCandidate[], path: string): InputError {
  const [missing, there] = wanted === 'ema' ? ['averaged', 'raw'] : ['raw', 'ema'];
  return new InputError(
    `${path}: has no ${missing} weights, only ${has.map(({ name }) => name).join(', ')}`,
    {
      hint: `use --weights ${there}, or omit --weights (in a recipe: start.weights)`,
    },
  );
}
