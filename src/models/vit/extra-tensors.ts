/**
 * Tensors from pre-training that a classifier does not use: the mask token and decoder of masked image modelling (MAE, BEiT,
 * SimMIM), heads of self-supervision (DINO, iBOT, MoCo, BYOL), the representation layer and pooler of older models, counters
 * of averages, and weights of losses.
 */
const EXTRA = [
  /^(?:embeddings\.)?mask_token$/,
  /^(?:\w+_)?decoder(?:[._]|$)/,
  /^(?:pre_logits|pooler|lm_head|mim_head)\./,
  /^(?:proj|projection|projector|predictor|prediction)(?:_(?:head|layer|mlp))?s?\./,
  /^(?:dino|ibot|contrast\w*|simclr|byol|moco|ssl|cls_pred)_?(?:head|loss|proj\w*)\./,
  /^(?:prototypes?|queue|queue_ptr|center)(?:\.|$)/,
  /^head\.(?:mlp|last_layer|projection_head|prototypes)\./,
  /^(?:n_averaged|initted|step|num_updates|decay)$/,
  /^(?:criterion|loss|loss_fn|loss_func)\./,
];

/** Tensors that are unused if another one is missing: a second head without its distillation token. */
const UNUSED = [
  { without: /(?:^|\.)dist(?:illation)?_token(?:s)?$/, pattern: /^(?:head_dist|distillation_classifier)\./ },
];

const BASE = /^(?:stages\.\d+|vit|deit)\./;

export interface Sorted<T> {
  readonly kept: ReadonlyMap<string, T>;
  /** Names of the tensors that the model does not use. */
  readonly leftOut: readonly string[];
}

/** Separates a model's tensors from those left over from pre-training. Unknown tensors are kept. */
export function withoutExtraTensors<T>(state: ReadonlyMap<string, T>): Sorted<T> {
  const names = [...state.keys()];
  const patterns = [
    ...EXTRA,
    ...UNUSED.filter(({ without }) => !names.some((name) => without.test(name))).map(
      ({ pattern }) => pattern,
    ),
    // A mean-pooled model has fc_norm instead of norm. If it has both, norm is the final one.
    ...(names.some((name) => /^(?:stages\.\d+\.)?norm\.weight$/.test(name)) ? [/^fc_norm\./] : []),
  ];
  const isExtra = (name: string) => patterns.some((pattern) => pattern.test(name.replace(BASE, '')));
  return {
    kept: new Map([...state].filter(([name]) => !isExtra(name))),
    leftOut: names.filter(isExtra),
  };
}
