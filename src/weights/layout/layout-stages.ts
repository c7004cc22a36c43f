import type { LazyTensor } from '../lazy-tensor.js';
import { withoutExtraTensors } from './extra-tensors.js';
import { withHead } from './head-names.js';
import { fromHuggingFace, isHuggingFace } from './layout-huggingface.js';
import { joinQkv } from './layout-qkv.js';
import { fromTorchvision, isTorchvision } from './layout-torchvision.js';
import { isDivided, type Stage, splitStages } from './model-file-stages.js';
import { peelPrefix } from './peel-prefix.js';
import type { ChosenWeights, WeightsKind } from './weights-choice.js';

/**
 * Naming scheme of the tensors: that of the official code (`stages.0.blocks.0...` and a second name for each, or a list of
 * stages), timm and DeiT (`blocks.0...`), torchvision and other programs with ResNets (`layer1.0...`), Hugging Face
 * (`vit.encoder.layer.0...`), or this program (`stages.0.blocks.0...`).
 */
export type Layout = 'official' | 'timm' | 'huggingface' | 'torchvision' | 'deep-incubation';

export interface LaidOut {
  readonly layout: Layout;
  readonly stages: readonly Stage<LazyTensor>[];
  /** Names of the file's tensors that a classifier does not use. */
  readonly leftOut: readonly string[];
  /** Present if the file has averaged weights, or several. */
  readonly chosen?: ChosenWeights;
}

/**
 * Detects a state dict's layout from its names, and returns its stages with this program's names; see `splitStages`.
 * @param wanted plain or averaged weights, if both are present under different prefixes; default: averaged
 */
export function stagesOfState(
  state: ReadonlyMap<string, LazyTensor>,
  path: string,
  wanted?: WeightsKind,
): LaidOut {
  const { named, chosen } = peelPrefix(state, path, wanted);
  const choice = chosen === undefined ? {} : { chosen };
  const divided = [...named.keys()].filter(isDivided).length;
  // This program's files contain only such names; within a stage, a user's own model may have any names.
  if (divided === named.size) {
    const stages = splitStages(named, path).map((stage) => joinQkv(stage, path));
    return { layout: 'deep-incubation', stages, leftOut: [], ...choice };
  }
  if (isTorchvision(named.keys())) {
    return { layout: 'torchvision', stages: [fromTorchvision(named, path)], leftOut: [], ...choice };
  }
  const { kept, leftOut } = withoutExtraTensors(named);
  if (isHuggingFace(kept.keys())) {
    const stages = [joinQkv(fromHuggingFace(kept, path), path)];
    return { layout: 'huggingface', stages, leftOut, ...choice };
  }
  const stages = splitStages(withHead(kept), path).map((stage) => joinQkv(stage, path));
  return { layout: divided === 0 ? 'timm' : 'official', stages, leftOut, ...choice };
}
