import { InputError } from '../../base/errors.js';

/** `ema`: weights averaged over training steps. `raw`: the weights as the last step left them. */
export type WeightsKind = 'ema' | 'raw';

/** Which of a file's weights were read. */
export interface ChosenWeights {
  readonly kind: WeightsKind;
  /** Their place in the file: a key, a prefix of the tensors' names, or the name of a file. */
  readonly from: string;
  /** The places of the file's other weights. */
  readonly others: readonly string[];
}

export interface WeightsCandidate {
  readonly name: string;
  readonly kind: WeightsKind;
}

/** Words by which training programs name averaged weights: timm, DINO, MoCo, BYOL, torch's SWA. */
const AVERAGED = new Set(['ema', 'swa', 'averaged', 'average', 'avg', 'teacher', 'momentum', 'target']);

/** The kind of weights under a key such as `model_ema`, or under a prefix such as `teacher.backbone.`. */
export function kindOf(name: string): WeightsKind {
  const words = name
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z]+/);
  return words.some((word) => AVERAGED.has(word)) ? 'ema' : 'raw';
}

/**
 * Takes one of a file's weights: of the kind that is wanted; else averaged ones if the file has some, as timm does. Of
 * several of one kind the first. `chosen` is absent if there was nothing to choose.
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

/** The error for weights that a file does not have. */
export function noneOf(wanted: WeightsKind, has: readonly WeightsCandidate[], path: string): InputError {
  const [missing, there] = wanted === 'ema' ? ['averaged', 'raw'] : ['raw', 'ema'];
  return new InputError(
    `${path}: has no ${missing} weights, only ${has.map(({ name }) => name).join(', ')}`,
    {
      hint: `give --weights ${there}, or leave --weights (in a recipe: start.weights) out`,
    },
  );
}
