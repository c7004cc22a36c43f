import type { TensorData } from '../../base/tensor-data.js';
import { dividedNames, type StageTensors } from '../../weights/layout/model-file-stages.js';
import type { TorchValue } from '../../weights/torch-file/torch-file-write.js';
import { joinBy } from '../divide-stages.js';
import { CLASS_NAMES } from '../layout.js';
import { vitEndOf } from './weights-geometry.js';

/** The parameters of the official module itself, in its order. */
const TOKENS = ['cls_token', 'pos_embed', 'dist_token'];

/** Order of the tensors in the modules of the official code and of timm. */
const ORDER = [
  'pos_embed',
  'cls_token',
  'dist_token',
  'reg_token',
  'patch_embed',
  'blocks',
  'norm1',
  'attn.qkv',
  'attn.q_norm',
  'attn.k_norm',
  'attn.proj',
  'ls1',
  'norm2',
  'mlp.fc1',
  'mlp.fc2',
  'ls2',
  'norm',
  'fc_norm',
  'head',
  'head_dist',
];

/** Sorts a stage's tensors in the order of its layers, weights before biases; unknown tensors come last. */
export function inOrder<T>(stage: StageTensors<T>): StageTensors<T> {
  const ranked = [...stage].map((entry) => ({ entry, rank: rankOf(entry[0]) }));
  ranked.sort((a, b) => a.rank.map((r, i) => r - b.rank[i]).find((difference) => difference !== 0) ?? 0);
  return new Map(ranked.map(({ entry }) => entry));
}

function rankOf(name: string): number[] {
  const [, index, inBlock] = /^blocks\.(\d+)\.(.+)$/.exec(name) ?? [];
  const place = (local: string) => {
    const found = ORDER.findIndex((layer) => local === layer || local.startsWith(`${layer}.`));
    return found < 0 ? ORDER.length : found;
  };
  const bias = name.endsWith('.bias') ? 1 : 0;
  if (index === undefined) return [place(name), 0, 0, bias];
  return [place('blocks'), Number(index), place(inBlock), bias];
}

/**
 * The content of the official code's file for a model in stages. `model` has every tensor twice, as in the official
 * module: tokens, the stages, then the undivided model.
 */
export function officialFile(
  stages: readonly StageTensors<TensorData>[],
  classNames?: readonly string[],
): ReadonlyMap<string, TorchValue> {
  const whole = joinBy(vitEndOf, stages, 'the model');
  const tokens = TOKENS.flatMap((name) => {
    const tensor = whole.get(name);
    return tensor ? [[name, tensor] as const] : [];
  });
  // A name that occurs twice keeps its first position.
  const model = new Map([...tokens, ...dividedNames(stages), ...whole]);
  return new Map<string, TorchValue>([
    ['model', { ordered: model }],
    ['model_stages', stages.map((stage) => ({ ordered: stage }))],
    ...(classNames === undefined ? [] : [[CLASS_NAMES, classNames] as const]),
  ]);
}
