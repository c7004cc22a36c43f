import { InputError } from '../base/errors.js';
import { auxiliaryCosts } from '../method/local/local-losses.js';
import {
  type BlockCost,
  type Blueprint,
  blockSpans,
  type PartCost,
  type Regime,
  targetOf,
} from '../models/staged.js';
import type { Phase } from '../recipe/phase.js';
import { frozenBy, nothingLeft } from '../training/freeze.js';

/** The stem, a block or the head of a phase's model, and how it is trained. */
export interface ModelPart {
  readonly kind: 'stem' | 'block' | 'head';
  readonly cost: BlockCost;
  /** Number of trained parameters. */
  readonly trained: number;
  /** Those of them that are elements of two-dimensional parameters. Undefined if the model does not state it. */
  readonly trainedInMatrices: number | undefined;
  /** Share of its multiply-accumulates that belong to trained parameters. */
  readonly share: number;
  /** Whether gradients pass through it, because it or an earlier part is trained. */
  readonly passesBack: boolean;
}

/** The model of a phase. */
interface TrainedModel {
  /** Number of blocks in each stage. */
  readonly depths: readonly number[];
  readonly regimes: readonly Regime[];
  /** Number of blocks in each module of the target model; see `StagePlan`. */
  readonly target?: readonly number[] | undefined;
  /** Patterns of frozen parameters, as `frozenBy` reads them. */
  readonly freeze?: readonly string[] | undefined;
}

/** Cost of each block of each stage. `target`: number of blocks in each module of the target model; see `StagePlan`. */
export function blockCosts(
  { depth, cost }: Blueprint,
  depths: readonly number[],
  target: readonly number[] = targetOf(depth, depths),
): BlockCost[][] {
  return blockSpans(depths, target).map((spans) => spans.map((span) => cost.block(span)));
}

/**
 * The parts of a phase's model, from stem to head.
 * @throws InputError naming a pattern that matches nothing, or patterns that leave nothing to train; or if there are patterns and the
 *   blueprint lists no parameters
 */
export function partsOf(
  blueprint: Blueprint,
  { depths, regimes, target, freeze = [] }: TrainedModel,
): ModelPart[] {
  const stages = blockCosts(blueprint, depths, target).map((blocks, stage) =>
    placesOf(blueprint, blocks, stage, depths.length),
  );
  const isFrozen = frozenIn(stages.flat(), freeze);
  let passesBack = false;
  const parts = stages.flatMap((places, stage) =>
    places.map(({ kind, cost, prefix }): ModelPart => {
      const own = regimes[stage] === 'trained' ? trainedIn(cost, prefix, isFrozen) : NOTHING;
      passesBack ||= own.trained > 0;
      return { kind, cost, ...own, passesBack };
    }),
  );
  if (freeze.length > 0 && !passesBack) throw nothingLeft(freeze);
  return parts;
}

interface Place extends Pick<ModelPart, 'kind' | 'cost'> {
  /** Prefix of its parameter names. */
  readonly prefix: string;
}

function placesOf(
  { cost: { stem, head } }: Blueprint,
  blocks: readonly BlockCost[],
  stage: number,
  stages: number,
): Place[] {
  const prefix = `stages.${stage}.`;
  return [
    ...(stage === 0 ? [{ kind: 'stem', cost: stem, prefix } as const] : []),
    ...blocks.map((cost, i): Place => ({ kind: 'block', cost, prefix: `${prefix}blocks.${i}.` })),
    ...(stage === stages - 1 ? [{ kind: 'head', cost: head, prefix } as const] : []),
  ];
}

function frozenIn(places: readonly Place[], freeze: readonly string[]): (name: string) => boolean {
  if (freeze.length === 0) return () => false;
  const names = places.flatMap(({ cost, prefix }) =>
    Object.keys(tensorsOf(cost)).map((name) => prefix + name),
  );
  const frozen = frozenBy(freeze, names);
  return (name) => frozen.has(name);
}

type Trained = Pick<ModelPart, 'trained' | 'trainedInMatrices' | 'share'>;

const NOTHING: Trained = { trained: 0, trainedInMatrices: 0, share: 0 };

function trainedIn(part: PartCost, prefix: string, isFrozen: (name: string) => boolean): Trained {
  const whole = { trained: part.parameters, trainedInMatrices: part.inMatrices, share: 1 };
  if (part.tensors === undefined) return whole;
  const all = Object.entries(part.tensors);
  const trained = all.filter(([name]) => !isFrozen(prefix + name));
  if (trained.length === all.length) return whole;
  const sum = (some: typeof all, key: 'parameters' | 'macs') =>
    some.reduce((total, [, tensor]) => total + tensor[key], 0);
  const matrices = trained.filter(([, { isMatrix }]) => isMatrix);
  return {
    trained: sum(trained, 'parameters'),
    trainedInMatrices: sum(matrices, 'parameters'),
    share: sum(trained, 'macs') / sum(all, 'macs'),
  };
}

function tensorsOf({ tensors }: PartCost): NonNullable<PartCost['tensors']> {
  if (tensors !== undefined) return tensors;
  throw new InputError('freeze: the blueprint does not list its parameters', {
    hint: 'add the tensors of cost.stem, cost.block and cost.head',
  });
}

/** Cost of a phase's auxiliary heads for one image; 0 without local losses. */
interface AuxiliaryCost {
  readonly parameters: number;
  /** Multiply-accumulates of the forward pass. */
  readonly macs: number;
  /** Number of elements that are kept for the backward pass. */
  readonly activations: number;
  /** Most additional elements while a head is computed. */
  readonly workspace: number;
}

export function auxiliaryCost({ blueprint, depths, local }: Phase): AuxiliaryCost {
  const heads = local === undefined ? [] : auxiliaryCosts(blueprint, depths, local);
  const sum = (of: (head: (typeof heads)[number]) => number) =>
    heads.reduce((all, head) => all + of(head), 0);
  return {
    parameters: sum(({ parameters }) => parameters),
    macs: sum(({ macs }) => macs),
    activations: sum(({ activations }) => activations.trained),
    workspace: Math.max(0, ...heads.map(({ activations }) => activations.workspace)),
  };
}
