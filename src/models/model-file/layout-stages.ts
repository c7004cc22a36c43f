import { isDivided, type Stage, splitStages } from '../../weights/layout/model-file-stages.js';
import { peelPrefix } from '../../weights/layout/peel-prefix.js';
import type { ChosenWeights, WeightsKind } from '../../weights/layout/weights-choice.js';
import type { LazyTensor } from '../../weights/lazy-tensor.js';
import type { Layout } from '../family.js';
import { fromTorchvision, isTorchvision } from '../resnet/layout-torchvision.js';
import { withoutExtraTensors } from '../vit/extra-tensors.js';
import { withHead } from '../vit/head-names.js';
import { fromHuggingFace, isHuggingFace } from '../vit/layout-huggingface.js';
import { joinQkv } from '../vit/layout-qkv.js';

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
