import type { Stage } from '../../weights/layout/model-file-stages.js';

/** Order of the tensors in the modules of the official code and of timm. */
const ORDER = [
  'pos_embed',
  'cls_token',
  'dist_token',
  'patch_embed',
  'blocks',
  'norm1',
  'attn.qkv',
  'attn.proj',
  'norm2',
  'mlp.fc1',
  'mlp.fc2',
  'norm',
  'fc_norm',
  'head',
  'head_dist',
];

/** Sorts a stage's tensors in the order of its layers, weights before biases; unknown tensors come last. */
export function inOrder<T>(stage: Stage<T>): Stage<T> {
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
