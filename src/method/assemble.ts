import { InputError } from '../base/errors.js';
import { requireWhole, requireWithin } from '../base/numbers.js';
import type { TensorData } from '../base/tensor-data.js';
import {
  buildStage,
  type Divisible,
  type DropPathSchedule,
  type Regime,
  Stage,
  StagedModel,
} from '../models/staged.js';
import type { InitContext } from '../nn/init.js';
import { loadWeights, weightsOf } from '../nn/weights.js';
import type { Tensor } from '../torch/tensor.js';
import { divide } from './divide.js';

/** The weights of one stage by stage-local name, and their source, for messages. */
export interface StageWeights {
  readonly weights: ReadonlyMap<string, TensorData>;
  readonly source: string;
  /** Selects parameters that are initialised even if `weights` contains them. */
  readonly isFresh?: (name: string) => boolean;
}

export interface AssembleOptions {
  /** Default: all stages are trained. */
  readonly regimes?: readonly Regime[];
  /** Drop-path rate of the last block. Default 0. */
  readonly dropPath?: number;
  /** Default linear. */
  readonly dropPathSchedule?: DropPathSchedule;
  /**
   * Number of blocks in each target module. Needed to build a meta model or a hybrid from blocks of different shapes: a meta
   * stage has the input and output shapes of its module. Default: `depths` if they add up to all blocks of the blueprint,
   * otherwise the most even division.
   */
  readonly target?: readonly number[];
}

/**
 * Builds a model stage by stage. Each stage gets the given weights, a copy of the weights of another model's stage, or
 * initial weights. This builds a hybrid (the meta model's stages around a new module), the target (every module from its own
 * incubation), and, without weights, a model to train from scratch.
 *
 * @param stages null initialises all stages
 * @throws InputError if the weights of a stage do not match its parameters exactly (a tensor is missing or left over), if
 *   `depths` is invalid, if there is not one regime per stage, or if the blueprint returns the same layer twice
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const again = assemble(tiny, [2, 2], model.stages, context); // the same weights, copied
 */
export function assemble(
  blueprint: Divisible,
  depths: readonly number[],
  stages: readonly (StageWeights | Stage | null)[] | null,
  context: InitContext,
  options: AssembleOptions = {},
): StagedModel {
  requireWhole('the number of stages', depths.length, 1);
  for (const [i, depth] of depths.entries()) requireWhole(`depths[${i}]`, depth, 1);
  const { regimes, dropPath = 0, dropPathSchedule, target } = options;
  requireWithin('dropPath', dropPath, 0, 1);
  if (regimes !== undefined && regimes.length !== depths.length) {
    throw new InputError(`${depths.length} stages to assemble, but ${regimes.length} regimes`);
  }
  if (target !== undefined) {
    divide(blueprint.depth, { depths: target });
    requireStages(target.length, depths.length);
  }
  const sources = stages ?? depths.map(() => null);
  if (sources.length !== depths.length) {
    throw new InputError(`${depths.length} stages to assemble, but the weights have ${sources.length}`);
  }
  const taken = new Set(sources.flatMap((source) => (source instanceof Stage ? weightTensors(source) : [])));
  const plan = { depths, target, dropPath, ...(dropPathSchedule && { dropPathSchedule }) };
  const built = depths.map((_, index) => {
    const stage = buildStage(blueprint, plan, index, context);
    requireNew(stage, taken, `stage ${index}`);
    const given = weightsFrom(sources[index]);
    if (given) loadWeights(stage, withFresh(stage, given), `${given.source}, stage ${index}`);
    return stage;
  });
  return new StagedModel(built, regimes);
}

function requireStages(modules: number, stages: number): void {
  if (modules === stages) return;
  throw new InputError(`the target has ${modules} modules, but there are ${stages} stages to assemble`, {
    hint: 'a meta model and a hybrid need one stage per module',
  });
}

function weightTensors(stage: Stage): Tensor[] {
  return Array.from(stage.namedWeights(), ([, weight]) => weight);
}

/** Rejects a layer that is used twice: it would be trained twice, or together with a model that must not change. */
function requireNew(stage: Stage, taken: Set<Tensor>, where: string): void {
  for (const [name, weight] of stage.namedWeights()) {
    if (taken.has(weight)) {
      throw new InputError(`${where}: ${name} also belongs to another layer`, {
        hint: 'makeStem, makeBlock and makeHead must create a new layer at each call',
      });
    }
    taken.add(weight);
  }
}

function weightsFrom(given: StageWeights | Stage | null): StageWeights | null {
  return given instanceof Stage ? { weights: weightsOf(given), source: 'the given model' } : given;
}

function withFresh(stage: Stage, { weights, isFresh }: StageWeights): ReadonlyMap<string, TensorData> {
  if (isFresh === undefined) return weights;
  const taken = [...weights].filter(([name]) => !isFresh(name));
  const fresh = [...stage.namedWeights()].filter(([name]) => isFresh(name));
  return new Map([...taken, ...fresh.map(([name, weight]) => [name, weight.toData()] as const)]);
}
