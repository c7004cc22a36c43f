import { atSize, type Blueprint, type Regime, tokenShare } from '../models/staged.js';
import type { Phase } from '../recipe/phase.js';
import type { StageRecord } from '../run/records.js';
import { type Curriculum, type CurriculumStage, stageEnds } from '../training/schedule.js';
import { blockCosts, type ModelPart, partsOf } from './parts.js';

/**
 * Passes per block of a stage for one training image (docs/method.md, "What it costs"): 1 for the forward pass, 1 for the
 * weight gradient, 1 for the activation gradient.
 */
const PASSES: Record<Regime, number> = { prefix: 1, suffix: 2, trained: 3 };

/** Cost of training on one image. */
export interface ImageCost {
  /**
   * Passes over blocks: E2E 3L, PT 3 x meta depth, MT/i by the regimes of its stages; fewer if parameters are frozen. For a
   * smaller image, multiplied by its share of the tokens.
   */
  readonly blockPasses: number;
  /** Multiply-accumulates, including stem and head. */
  readonly macs: number;
}

/**
 * Cost of one image in a phase. The forward pass counts as 1, and each kind of computed gradient as 1 more.
 * The stem's input needs no gradient.
 *
 * @example
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const { macs, blockPasses } = imageCost(tiny, [1, 2], ['prefix', 'trained']);
 * console.log(macs, blockPasses);
 */
export function imageCost(
  blueprint: Blueprint,
  depths: readonly number[],
  regimes: readonly Regime[],
  { target, freeze, size }: Division = {},
): ImageCost {
  const parts = partsOf(atSize(blueprint, size), { depths, regimes, target, freeze });
  const passes = ({ kind, share, passesBack }: ModelPart) =>
    1 + share + (passesBack && kind !== 'stem' ? 1 : 0);
  const blocks = parts.filter(({ kind }) => kind === 'block');
  return {
    blockPasses: tokenShare(blueprint, size) * sumOf(blocks, passes),
    macs: sumOf(parts, (part) => passes(part) * part.cost.macs),
  };
}

/** Properties of a phase's model besides depths and regimes. */
export interface Division {
  /** Number of blocks in each module of the target model; see `StagePlan`. */
  readonly target?: readonly number[] | undefined;
  /** Patterns of frozen parameters; see `partsOf`. */
  readonly freeze?: readonly string[] | undefined;
  /** Side of the images, in pixels. Default: that of the model. */
  readonly size?: number | undefined;
}

function sumOf<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}

/** Multiply-accumulates of one image's forward pass through a model whose stages have `depths` blocks. */
export function forwardMacs(
  blueprint: Blueprint,
  depths: readonly number[],
  target?: readonly number[],
): number {
  const { stem, head } = blueprint.cost;
  const blocks = blockCosts(blueprint, depths, target).flat();
  return stem.macs + sumOf(blocks, ({ macs }) => macs) + head.macs;
}

/**
 * Passes over blocks for one training image if no parameters of the trained stages are frozen.
 *
 * @example
 * blockPasses([1, 3, 1], ['prefix', 'trained', 'suffix']); // 1 + 3 x 3 + 2 = 12
 */
export function blockPasses(depths: readonly number[], regimes: readonly Regime[]): number {
  return depths.reduce((sum, depth, stage) => sum + depth * PASSES[regimes[stage]], 0);
}

/** Number of parameters of a model whose stages have `depths` blocks. */
export function parameterCount(
  blueprint: Blueprint,
  depths: readonly number[],
  target?: readonly number[],
): number {
  return trainedParameterCount(
    blueprint,
    depths,
    depths.map(() => 'trained'),
    { target },
  );
}

/** Number of parameters that a phase trains: those of its trained stages, minus the frozen ones. */
export function trainedParameterCount(
  blueprint: Blueprint,
  depths: readonly number[],
  regimes: readonly Regime[],
  { target, freeze }: Division = {},
): number {
  return sumOf(partsOf(blueprint, { depths, regimes, target, freeze }), ({ trained }) => trained);
}

/** Block-passes of all phases except E2E, divided by those of E2E, counted in four ways (docs/method.md, "What it costs"). */
export interface CostRatios {
  /** The official code: later meta stages compute weight gradients that nobody uses. */
  readonly official: number;
  /** As in this program: frozen stages compute no weight gradients. */
  readonly frozen: number;
  /** Like `frozen`, and modules that are incubated together share the forward pass of the frozen prefix. */
  readonly prefix_shared: number;
  /** Like `prefix_shared`, and the meta model already exists. */
  readonly meta_given: number;
}

export interface Counted {
  readonly phase: Phase;
  /** Number of images in all steps; a smaller image counts as its share of the tokens. */
  readonly images: number;
}

/** @returns undefined if the recipe has no baseline or no module to incubate */
export function costRatios(blueprint: Blueprint, counted: readonly Counted[]): CostRatios | undefined {
  const baseline = counted.find(({ phase }) => phase.name === 'E2E');
  const modules = counted.filter(({ phase }) => phase.name.startsWith('MT/'));
  if (baseline === undefined || modules.length === 0) return undefined;
  const own = counted.filter((each) => each !== baseline);
  const passes = (list: readonly Counted[], regimesOf: (phase: Phase) => readonly Regime[] = ownRegimes) =>
    list.reduce((sum, { phase, images }) => {
      const { depths, target, settings } = phase;
      return (
        sum +
        images *
          imageCost(blueprint, depths, regimesOf(phase), { target, freeze: settings.freeze }).blockPasses
      );
    }, 0);
  const whole = passes([baseline]);
  const frozen = passes(own);
  const shared = frozen - sharedPrefixPasses(modules);
  const pretraining = passes(own.filter(({ phase }) => phase.name === 'PT'));
  return {
    official: passes(own, officialRegimes) / whole,
    frozen: frozen / whole,
    prefix_shared: shared / whole,
    meta_given: (shared - pretraining) / whole,
  };
}

const ownRegimes = ({ regimes }: Phase): readonly Regime[] => regimes;

function officialRegimes({ regimes }: Phase): Regime[] {
  return regimes.map((regime) => (regime === 'suffix' ? 'trained' : regime));
}

/** Block-passes that are saved if the forward pass of each frozen prefix stage runs once for all modules. */
export function sharedPrefixPasses(modules: readonly Counted[]): number {
  const stages = modules[0].phase.depths.map((_, stage) => {
    const forward = modules
      .filter(({ phase }) => phase.regimes[stage] === 'prefix')
      .map(({ phase, images }) => images * phase.depths[stage]);
    return forward.reduce((sum, each) => sum + each, 0) - Math.max(0, ...forward);
  });
  return stages.reduce((sum, each) => sum + each, 0);
}

/** A stage of a curriculum, and its cost. A phase without a curriculum has one stage. */
export interface PlannedStage extends StageRecord {
  readonly images: number;
  /** Null if the model does not state it. */
  readonly tokens: number | null;
  readonly block_passes: number;
  readonly macs: number;
}

const WHOLE: Curriculum = [{ until: 1, low_pass: false }];

/** The stages of a phase of `steps` steps. */
export function stagesOf(phase: Phase, steps: number): PlannedStage[] {
  const stages = phase.settings.curriculum ?? WHOLE;
  const ends = stageEnds(stages, steps);
  return stages.map((stage, i) => stageOf(phase, stage, ends[i] - (ends[i - 1] ?? 0)));
}

function stageOf(phase: Phase, stage: CurriculumStage, steps: number): PlannedStage {
  const { settings, depths, regimes, target, blueprint } = phase;
  const { size = blueprint.input.size, low_pass, magnitude = null } = stage;
  const { blockPasses, macs } = imageCost(blueprint, depths, regimes, {
    target,
    freeze: settings.freeze,
    size,
  });
  const { tokens } = atSize(blueprint, size).cost;
  const images = steps * imagesPerStep(phase);
  return {
    steps,
    image_size: size,
    low_pass,
    magnitude,
    images,
    tokens: tokens === undefined ? null : images * tokens,
    block_passes: images * blockPasses,
    macs: images * macs,
  };
}

function imagesPerStep({ settings }: Phase): number {
  return settings.batch_size * settings.accumulate;
}

type Cost = 'tokens' | 'block_passes' | 'macs';

/** Null if it is unknown. */
export function totalOf(stages: readonly PlannedStage[], key: Cost): number | null {
  return stages.reduce<number | null>((sum, stage) => {
    const own = stage[key];
    return sum === null || own === null ? null : sum + own;
  }, 0);
}

/** The smallest number of steps of a phase that costs at least `cost` block-passes. */
export function stepsForCost(phase: Phase, cost: number): number {
  const stages = phase.settings.curriculum ?? WHOLE;
  const perStep = stages.map((stage) => stageOf(phase, stage, 1).block_passes);
  if (stages.length === 1) return Math.ceil(cost / perStep[0]);
  const mean = stages.reduce(
    (sum, { until }, i) => sum + (until - (stages[i - 1]?.until ?? 0)) * perStep[i],
    0,
  );
  const costOf = (steps: number) =>
    stageEnds(stages, steps).reduce((sum, end, i, ends) => sum + (end - (ends[i - 1] ?? 0)) * perStep[i], 0);
  // Stages end at whole steps, so each end may move the cost by half a step.
  const slack = stages.length * Math.max(...perStep);
  let steps = Math.max(1, Math.floor((cost - slack) / mean));
  while (costOf(steps) < cost) steps++;
  return steps;
}

/** Number of images in all steps; a smaller image counts as its share of the tokens. */
export function fullImages(phase: Phase, steps: number): number {
  return stagesOf(phase, steps).reduce(
    (sum, { images, image_size }) => sum + images * tokenShare(phase.blueprint, image_size),
    0,
  );
}

/** Side of the largest images that a phase trains on, in pixels. */
export function largestSize({ settings, blueprint }: Phase): number {
  const sizes = settings.curriculum?.map(({ size = blueprint.input.size }) => size);
  return Math.max(...(sizes ?? [blueprint.input.size]));
}

interface PlannedCost {
  readonly steps: number;
  readonly images: number;
  readonly block_passes: number;
  readonly macs: number;
  readonly curriculum?: readonly PlannedStage[];
}

/** Images and cost of the first `step` steps of a planned phase. */
export function costUntil(
  plan: PlannedCost,
  step: number,
): Pick<PlannedStage, 'images' | 'block_passes' | 'macs'> {
  const all = plan.curriculum ?? [plan];
  let left = step;
  const done = { images: 0, block_passes: 0, macs: 0 };
  for (const stage of all) {
    const own = Math.min(left, stage.steps);
    left -= own;
    if (own === 0) continue;
    done.images += (stage.images / stage.steps) * own;
    done.block_passes += (stage.block_passes / stage.steps) * own;
    done.macs += (stage.macs / stage.steps) * own;
  }
  return done;
}

/** The stage of a step of a planned phase, counted from 0; undefined without a curriculum. */
export function stageAt(
  { curriculum }: Pick<PlannedCost, 'curriculum'>,
  step: number,
): PlannedStage | undefined {
  let end = 0;
  return curriculum?.find((stage) => {
    end += stage.steps;
    return step < end;
  });
}

/** The stages of a planned phase as its result has them; undefined without a curriculum. */
export function stageRecords({ curriculum }: Pick<PlannedCost, 'curriculum'>): StageRecord[] | undefined {
  return curriculum?.map(({ steps, image_size, low_pass, magnitude }) => ({
    steps,
    image_size,
    low_pass,
    magnitude,
  }));
}
