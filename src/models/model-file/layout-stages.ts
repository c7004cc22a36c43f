import { isDivided, peelPrefix, type Stage, splitStages } from '../../weights/layout/model-file-stages.js';
import type { ChosenWeights, WeightsKind } from '../../weights/layout/weights-choice.js';
import type { LazyTensor } from '../../weights/lazy-tensor.js';
import { allFamilies, recognised } from '../families/families.js';
import type { ModelFamily } from '../family.js';
import type { Layout } from '../layout.js';

export interface LaidOut {
  readonly layout: Layout;
  readonly stages: readonly Stage<LazyTensor>[];
  /** Names of the file's tensors that a classifier does not use. */
  readonly leftOut: readonly string[];
  /** Present if the file has averaged weights, or several. */
  readonly chosen?: ChosenWeights;
}

export interface LayoutOptions {
  /** Plain or averaged weights, if both are present under different prefixes; default: averaged. */
  readonly wanted?: WeightsKind | undefined;
  /** The user's own families. */
  readonly families?: readonly ModelFamily[] | undefined;
}

/** Detects a state dict's layout from its names, and returns its stages with this program's names; see `splitStages`. */
export function stagesOfState(
  state: ReadonlyMap<string, LazyTensor>,
  path: string,
  { wanted, families }: LayoutOptions = {},
): LaidOut {
  const known = allFamilies(families);
  const anchors = known.flatMap(({ anchor }) => anchor ?? []);
  const { named, chosen } = peelPrefix(state, path, { anchors, wanted });
  const choice = chosen === undefined ? {} : { chosen };
  const names = [...named.keys()];
  // This program's files contain only such names; within a stage, a user's own model may have any names.
  if (names.every(isDivided)) {
    const stages = splitStages(named, path, () => undefined);
    const family = recognised(stages, families);
    const whole = stages.map((stage) => family?.joined?.(stage, path) ?? stage);
    return { layout: 'deep-incubation', stages: whole, leftOut: [], ...choice };
  }
  const layouts = known.flatMap((family) => family.layouts);
  // Reading unknown names in the most common layout names the tensors that are missing.
  const layout = layouts.find((each) => each.recognises(names)) ?? layouts[0];
  return { layout: layout.name, ...layout.read(named, path), ...choice };
}
