import { InputError } from '../base/errors.js';
import {
  type BlockCost,
  type Blueprint,
  blockSpans,
  type PartCost,
  type Regime,
  targetOf,
} from '../models/staged.js';
import { frozenBy, nothingLeft } from '../training/freeze.js';

/** What a phase does with the stem, a block or the head. */
export interface ModelPart {
  readonly kind: 'stem' | 'block' | 'head';
  readonly cost: BlockCost;
  /** Parameters that are trained. */
  readonly trained: number;
  /** Share of its multiply-accumulates with parameters whose gradient is computed. */
  readonly share: number;
  /** Gradients pass through it: it, or something before it, is trained. */
  readonly passesBack: boolean;
}

/** A phase's model. */
export interface TrainedModel {
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  readonly regimes: readonly Regime[];
  /** Blocks of each module of the target; see `StagePlan`. */
  readonly target?: readonly number[] | undefined;
  /** Patterns of parameters that do not train, as `frozenBy` reads them. */
  readonly freeze?: readonly string[] | undefined;
}

/** Cost of each block of each stage. `target`: blocks of each module of the target; see `StagePlan`. */
export function blockCosts(
  { depth, cost }: Blueprint,
  depths: readonly number[],
  target: readonly number[] = targetOf(depth, depths),
): BlockCost[][] {
  return blockSpans(depths, target).map((spans) => spans.map((span) => cost.block(span)));
}

/**
 * The parts of a phase's model, in their order.
 * @throws InputError naming a pattern that matches nothing, patterns that leave nothing to train, or where the blueprint does not list its parameters
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
      const { trained, share } =
        regimes[stage] === 'trained' ? trainedIn(cost, prefix, isFrozen) : { trained: 0, share: 0 };
      passesBack ||= trained > 0;
      return { kind, cost, trained, share, passesBack };
    }),
  );
  if (freeze.length > 0 && !passesBack) throw nothingLeft(freeze);
  return parts;
}

interface Place extends Pick<ModelPart, 'kind' | 'cost'> {
  /** What precedes the names of its parameters. */
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

function trainedIn(
  part: PartCost,
  prefix: string,
  isFrozen: (name: string) => boolean,
): Pick<ModelPart, 'trained' | 'share'> {
  if (part.tensors === undefined) return { trained: part.parameters, share: 1 };
  const all = Object.entries(part.tensors);
  const trained = all.filter(([name]) => !isFrozen(prefix + name));
  if (trained.length === all.length) return { trained: part.parameters, share: 1 };
  const sum = (some: typeof all, key: 'parameters' | 'macs') =>
    some.reduce((total, [, tensor]) => total + tensor[key], 0);
  return { trained: sum(trained, 'parameters'), share: sum(trained, 'macs') / sum(all, 'macs') };
}

function tensorsOf({ tensors }: PartCost): NonNullable<PartCost['tensors']> {
  if (tensors !== undefined) return tensors;
  throw new InputError('freeze: the blueprint does not list its parameters', {
    hint: 'give cost.stem, cost.block and cost.head their tensors',
  });
}
