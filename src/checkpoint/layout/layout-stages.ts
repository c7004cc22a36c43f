import type { LazyTensor } from '../lazy-tensor.js';
import { isDivided, type Stage, splitStages, withoutWrappers } from '../model-file/model-file-stages.js';
import { fromHuggingFace, isHuggingFace } from './layout-huggingface.js';
import { joinQkv } from './layout-qkv.js';

/**
 * Who names tensors so: the official code (`stages.0.blocks.0...` and a second name for each, or a list of
 * stages), timm and DeiT (`blocks.0...`), Hugging Face (`vit.encoder.layer.0...`), or we (`stages.0.blocks.0...`).
 */
export type Layout = 'official' | 'timm' | 'huggingface' | 'deep-incubation';

export interface LaidOut {
  readonly layout: Layout;
  readonly stages: readonly Stage<LazyTensor>[];
}

/** Recognises a state dict's layout by its names, and gives its stages under ours; see `splitStages`. */
export function stagesOfState(state: ReadonlyMap<string, LazyTensor>, path: string): LaidOut {
  const named = withoutWrappers(state);
  if (isHuggingFace(named.keys())) {
    return { layout: 'huggingface', stages: [joinQkv(fromHuggingFace(named, path), path)] };
  }
  const divided = [...named.keys()].filter(isDivided).length;
  const layout = divided === 0 ? 'timm' : divided === named.size ? 'deep-incubation' : 'official';
  return { layout, stages: splitStages(named, path).map((stage) => joinQkv(stage, path)) };
}
