import { InputError } from '../base/errors.js';
import type { RandomKey } from '../base/random.js';
import type { ActivationTape } from '../nn/activation-checkpoint.js';
import type { InitContext } from '../nn/init.js';
import { Module } from '../nn/module.js';
import { noGrad } from '../torch/autograd.js';
import type { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { Tensor } from '../torch/tensor.js';

/**
 * Settings of a forward pass. Layers draw random numbers (drop path, in training) from `generator`, seeded with `key` followed
 * by the layer's place: [...key, stage, block]. The numbers depend on nothing else, so they can be drawn again.
 */
export interface Pass {
  readonly training: boolean;
  readonly generator: Generator;
  readonly key: RandomKey;
  /** If set, the backward pass recomputes the blocks' activations; finish it with `tape.backward()`. */
  readonly tape?: ActivationTape;
  /** Height and width of the images, in pixels. Default: square images, as the model's blueprint states. */
  readonly size?: readonly [height: number, width: number] | undefined;
  /** What the task's `prepare` or `infer` returned as the target, for a head that computes its loss itself. */
  readonly target?: unknown;
}

/** The pass for part `index` of a model or stage. Evaluation draws no random numbers, so its key does not change. */
function within(pass: Pass, index: number): Pass {
  return pass.training ? { ...pass, key: [...pass.key, index] } : pass;
}

/**
 * A layer of a divisible model.
 *
 * @example
 * class Twice extends Layer {
 *   forward(x: Tensor): Tensor {
 *     return mul(x, 2);
 *   }
 * }
 * new Twice().forward(ones([2])).toFloat32Array(); // 2, 2
 */
export abstract class Layer extends Module {
  abstract forward(x: Tensor, pass: Pass): Tensor;
  /**
   * Of a head: the input of its classifier, [B, D]. Feature export and probes need it; training does not.
   * @param x the features after the last block, as for `forward`
   */
  features?(x: Tensor, pass: Pass): Tensor;
}

export interface PartCost {
  /** Multiply-accumulates of one image's forward pass. */
  readonly macs: number;
  readonly parameters: number;
  /** Cost of each parameter by name. Needed only to plan a phase that freezes some of them. */
  readonly tensors?: Readonly<Record<string, TensorCost>>;
  /** Number of elements in two-dimensional parameters. Needed only to plan the memory of the optimiser muon. */
  readonly inMatrices?: number;
}

/** Cost of one parameter. */
export interface TensorCost {
  /** Number of elements. */
  readonly parameters: number;
  /** Whether it has two dimensions. Default false. */
  readonly isMatrix?: boolean;
  /** Multiply-accumulates with this parameter in one image's forward pass. */
  readonly macs: number;
}

/** Number of elements that a block keeps for the backward pass, per image. */
export interface BlockActivations {
  /** If its parameters are trained. */
  readonly trained: number;
  /** If it is frozen and passes gradients on. */
  readonly suffix: number;
  readonly input: number;
  /** The part of `trained` and `suffix` that the last block does not keep because it computes less. Default 0. */
  readonly lastSpares?: Readonly<Record<'trained' | 'suffix', number>>;
  /** Additional elements while the block is computed. */
  readonly workspace: number;
}

export interface BlockCost extends PartCost {
  /** Absent if the model does not specify it. */
  readonly activations?: BlockActivations;
}

/**
 * The blocks of the undivided model that a block replaces: `from` ... `to` - 1. Its input has the shape of block `from`'s
 * input, its output the shape of block `to` - 1's output. A block of the model itself replaces one block, a block of a meta
 * model its share of the module.
 */
export interface BlockSpan {
  readonly from: number;
  readonly to: number;
}

/** The position of a block. */
export interface BlockPlace extends BlockSpan {
  /** Only the head reads this block's output, so it may skip what the head does not need. */
  readonly isLast: boolean;
}

/**
 * A model that can be divided: a stem, `depth` blocks, and a head. src/models/ has two families; docs/own-model.md shows how
 * to write one. The parameters of stem and head have no prefix, as in the official checkpoints (`patch_embed.proj.weight`,
 * `blocks.0...`, `norm.weight`, `head.weight`).
 */
export interface Divisible {
  readonly depth: number;
  makeStem(context: InitContext): Layer;
  /** Models whose blocks all have the same input and output shape can ignore `place`. */
  makeBlock(dropPathRate: number, context: InitContext, place: BlockPlace): Layer;
  makeHead(context: InitContext): Layer;
  /** Shape of one image's features before block `block`, or after the last block. Default: the same everywhere. */
  featureShape?(block: number): readonly number[];
  /**
   * Sets the last projection of each residual branch of a block to zero. A block that does not change the shape of the
   * features must then be the identity, exactly, for everything that the layers before it can return. Needed for `grow`.
   */
  zeroBranches?(block: Layer): void;
  /** Whether the head reads the outputs of several blocks, so that growing must keep all of them. Default false. */
  readonly isTapped?: boolean;
}

/** Number of multiply-accumulates per image (forward pass) and of parameters, for each part. */
export interface ModelCost {
  /** Positions that a block computes for an image: tokens, or pixels of the stem's features. Absent if unknown. */
  readonly tokens?: number;
  readonly stem: PartCost;
  /** A decoder states its activations, with those of the loss; those of a classifier are few, and may be absent. */
  readonly head: BlockCost;
  block(span: BlockSpan): BlockCost;
}

/** A divisible model whose input, classes and cost are known before it is built, so that a run can be planned. */
export interface Blueprint extends Divisible {
  /** Shape of the images that the stem takes. */
  readonly input: { readonly channels: number; readonly size: number };
  readonly classes: number;
  readonly cost: ModelCost;
  /**
   * The cost for images of another size. Absent if the model takes only images of its own size.
   * @throws InputError if the model does not take images of this size
   */
  costAt?(size: number): ModelCost;
  /** Names of parameters, other than biases and vectors, without weight decay when the whole model is trained. */
  readonly undecayed: readonly string[];
  /** The features between blocks as images, for the auxiliary heads of local losses. Without it, there are no local losses. */
  readonly featureMap?: FeatureImages;
}

/** The features between blocks as images. */
export interface FeatureImages {
  /** [channels, height, width] before block `block`, or after the last block. */
  shape(block: number): readonly [channels: number, height: number, width: number];
  /** Features of a batch -> [B, channels, height, width]. */
  of(features: Tensor): Tensor;
}

/**
 * A blueprint with the cost of images of another size.
 * @throws InputError if the model does not take images of this size
 */
export function atSize(blueprint: Blueprint, size = blueprint.input.size): Blueprint {
  const { input, cost, costAt } = blueprint;
  if (size === input.size) return blueprint;
  const resized = cost.tokens === undefined ? undefined : costAt?.(size);
  if (resized?.tokens !== undefined) return { ...blueprint, cost: resized };
  throw new InputError(`the model takes only images of ${input.size} x ${input.size} pixels`, {
    hint: 'models of this family take images of one size: remove the setting that changes it',
  });
}

/** Tokens of an image of a size, divided by those of an image of the model's own size. */
export function tokenShare(blueprint: Blueprint, size = blueprint.input.size): number {
  const [some, all] = [atSize(blueprint, size), blueprint].map(({ cost }) => cost.tokens);
  return some === undefined || all === undefined ? 1 : some / all;
}

const NO_OUTPUT = 'the method forward of the stem, of each block and of the head must return its output';

/** Runs `steps` in order. After each step, tensors that the backward pass does not need are freed. */
function inSequence(steps: Iterable<(x: Tensor) => Tensor>, x: Tensor): Tensor {
  let y = x;
  for (const step of steps) {
    const input = y;
    y = scope(() => step(input));
    if (!(y instanceof Tensor)) throw new InputError('a layer returned no tensor', { hint: NO_OUTPUT });
    if (input !== x && input !== y) input.free();
  }
  return y;
}

/**
 * Consecutive blocks. The first stage also has the stem, the last stage the head.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const [first] = model.stages;
 * console.log(first instanceof Stage, first.blocks.length, first.stem !== null, first.head !== null);
 */
export class Stage extends Layer {
  readonly stem: Layer | null;
  readonly blocks: readonly Layer[];
  readonly head: Layer | null;

  constructor(parts: { stem: Layer | null; blocks: readonly Layer[]; head: Layer | null }) {
    super();
    this.stem = parts.stem;
    this.blocks = parts.blocks;
    this.head = parts.head;
  }

  forward(x: Tensor, pass: Pass): Tensor {
    return inSequence(this.#steps(pass), x);
  }

  /**
   * As `forward`, up to the input of the classifier: [B, D].
   * @throws InputError if the stage has no head, or its head has no `features`
   */
  override features(x: Tensor, pass: Pass): Tensor {
    const { head } = this;
    if (head?.features === undefined) {
      throw new InputError('the head of the model does not give its features', {
        hint: 'give the head a method features(x, pass) that returns the input of its classifier, [B, D]',
      });
    }
    return inSequence([...this.#bodySteps(pass), (y) => head.features?.(y, pass) ?? y], x);
  }

  override *namedModules(prefix = ''): Iterable<[string, Module]> {
    yield [prefix, this];
    if (this.stem) yield* this.stem.namedModules(prefix);
    for (const [i, block] of this.blocks.entries()) yield* block.namedModules(`${prefix}blocks.${i}.`);
    if (this.head) yield* this.head.namedModules(prefix);
  }

  *#steps(pass: Pass): Iterable<(x: Tensor) => Tensor> {
    const { head } = this;
    yield* this.#bodySteps(pass);
    if (head) yield (x) => head.forward(x, pass);
  }

  *#bodySteps(pass: Pass): Iterable<(x: Tensor) => Tensor> {
    const { stem, blocks } = this;
    if (stem) yield (x) => stem.forward(x, pass);
    for (const [i, block] of blocks.entries()) {
      const forward = (x: Tensor) => block.forward(x, within(pass, i));
      yield (x) => pass.tape?.run(block, x, forward) ?? forward(x);
    }
  }
}

/**
 * How training treats a stage. `trained`: forward pass, weight and activation gradients. `prefix`: frozen, before all trained
 * stages, forward pass only. `suffix`: frozen, after a trained stage, forward pass and activation gradients.
 */
export type Regime = 'prefix' | 'trained' | 'suffix';

/**
 * A model as a list of stages: images [B, C, S, S] -> logits [B, classes].
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const logits = model.forward(zeros([1, 3, 16, 16]), { training: false, generator: context.generator, key: [] });
 * console.log(model instanceof StagedModel, logits.shape);
 */
export class StagedModel extends Layer {
  readonly stages: readonly Stage[];
  readonly regimes: readonly Regime[];

  constructor(stages: readonly Stage[], regimes: readonly Regime[] = stages.map(() => 'trained')) {
    super();
    this.stages = stages;
    this.regimes = regimes;
    for (const [i, stage] of stages.entries()) stage.setTrainable(regimes[i] === 'trained');
  }

  forward(images: Tensor, pass: Pass): Tensor {
    const [, , height, width] = images.shape;
    return this.forwardStages(images, 0, this.stages.length, { ...pass, size: [height, width] });
  }

  /**
   * The input of the classifier: images [B, C, S, S] -> features [B, D].
   * @throws InputError if the head has no `features`
   */
  override features(images: Tensor, pass: Pass): Tensor {
    const [, , height, width] = images.shape;
    const last = this.stages.length - 1;
    const sized: Pass = { ...pass, size: [height, width] };
    return this.stages[last].features(this.forwardStages(images, 0, last, sized), within(sized, last));
  }

  /**
   * Runs only stages `from` ... `to` - 1, as within the model.
   * @param x input of stage `from`: images, or the features after stage `from` - 1 ([B, N, D] for a vision transformer)
   * @returns output of stage `to` - 1: features, or logits
   * @throws RangeError if the model has no such stages
   */
  forwardStages(x: Tensor, from: number, to: number, pass: Pass): Tensor {
    const { stages, regimes } = this;
    if (!(0 <= from && from <= to && to <= stages.length)) {
      throw new RangeError(`stages ${from} to ${to} of a model with ${stages.length}`);
    }
    const steps = stages.slice(from, to).map((stage, i) => (input: Tensor) => {
      const forward = () => stage.forward(input, within(pass, from + i));
      return regimes[from + i] === 'prefix' ? noGrad(forward) : forward();
    });
    return inSequence(steps, x);
  }

  /** The parameters that training changes, with their names. */
  trainedParameters(): [name: string, parameter: Tensor][] {
    return [...this.namedParameters()].filter(([, parameter]) => parameter.requiresGrad);
  }

  /** The buffers that training changes, with their names: those of the trained stages. */
  trainedBuffers(): [name: string, buffer: Tensor][] {
    return this.stages.flatMap((stage, i) =>
      this.regimes[i] === 'trained'
        ? Array.from(stage.namedBuffers(), ([name, buffer]): [string, Tensor] => [
            `stages.${i}.${name}`,
            buffer,
          ])
        : [],
    );
  }
}

/** Drop-path rates over the blocks of a model. `linear`: rising from 0 at the first block. `constant`: the same everywhere. */
export type DropPathSchedule = 'linear' | 'constant';

/** Settings for building a stage. */
interface StagePlan {
  /** Number of blocks in each stage of the model that is built: the target, its meta model or a hybrid. */
  readonly depths: readonly number[];
  /** Number of blocks in each target module. Default: see `targetOf`. */
  readonly target?: readonly number[] | undefined;
  /** Drop-path rate of the last block. Default 0. */
  readonly dropPath?: number;
  /** The rates of the other blocks of the model that is built. Default linear. */
  readonly dropPathSchedule?: DropPathSchedule;
}

/** Builds stage `index` of a model. */
export function buildStage(
  blueprint: Divisible,
  plan: StagePlan,
  index: number,
  context: InitContext,
): Stage {
  const { depths, dropPath = 0, dropPathSchedule = 'linear' } = plan;
  const rates = dropPathRates(depths, dropPath, dropPathSchedule)[index];
  const spans = blockSpans(depths, plan.target ?? targetOf(blueprint.depth, depths))[index];
  const isLastStage = index === depths.length - 1;
  return new Stage({
    stem: index === 0 ? blueprint.makeStem(context) : null,
    blocks: rates.map((rate, i) => {
      const isLast = isLastStage && i === rates.length - 1;
      return blueprint.makeBlock(rate, context, { from: spans[i].from, to: spans[i].to, isLast });
    }),
    head: isLastStage ? blueprint.makeHead(context) : null,
  });
}

/**
 * The default division of a model with `depth` blocks for stages with `depths` blocks: `depths` if they add up to `depth`,
 * otherwise the most even division.
 */
export function targetOf(depth: number, depths: readonly number[]): readonly number[] {
  if (depths.reduce((a, b) => a + b, 0) === depth) return depths;
  const cut = (stage: number) => Math.floor((stage * depth) / depths.length);
  return depths.map((_, stage) => cut(stage + 1) - cut(stage));
}

/**
 * For each stage and block: the target blocks that it replaces. A stage replaces one module, whose blocks are spread over the
 * stage's blocks as evenly as possible.
 *
 * @example
 * blockSpans([1, 3], [3, 3]); // [[0, 3)], [[3, 4), [4, 5), [5, 6)]
 */
export function blockSpans(depths: readonly number[], target: readonly number[]): BlockSpan[][] {
  let before = 0;
  return depths.map((depth, stage) => {
    const start = before;
    before += target[stage];
    const cut = (block: number) => start + Math.floor((block * target[stage]) / depth);
    return Array.from({ length: depth }, (_, block) => ({ from: cut(block), to: cut(block + 1) }));
  });
}

/**
 * The drop-path rate of each stage and block. Linear: float32 linspace(0, rate, number of blocks), as the official code
 * computes it. Constant: as in DeiT-III.
 */
export function dropPathRates(
  depths: readonly number[],
  rate: number,
  schedule: DropPathSchedule = 'linear',
): number[][] {
  if (schedule === 'constant') return depths.map((depth) => new Array<number>(depth).fill(rate));
  const total = depths.reduce((a, b) => a + b, 0);
  const step = total > 1 ? Math.fround(Math.fround(rate) / (total - 1)) : 0;
  // torch.linspace counts from the nearer end, which keeps both ends exact.
  const at = (i: number) =>
    i < Math.floor(total / 2)
      ? Math.fround(step * i)
      : Math.fround(Math.fround(rate) - Math.fround(step * (total - 1 - i)));
  let next = 0;
  return depths.map((depth) => Array.from({ length: depth }, () => (total > 1 ? at(next++) : 0)));
}
