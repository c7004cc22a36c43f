import type { RandomKey } from '../base/random.js';
import type { ActivationTape } from '../nn/activation-checkpoint.js';
import type { InitContext } from '../nn/init.js';
import { Module } from '../nn/module.js';
import { noGrad } from '../torch/autograd.js';
import type { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';

/**
 * How a forward pass runs. Whatever a layer draws (drop path, in training) it draws from `generator`, seeded with the
 * key it is given: `key` followed by the layer's place, [...key, stage, block]. So it depends on nothing else, and can
 * be drawn again.
 */
export interface Pass {
  readonly training: boolean;
  readonly generator: Generator;
  readonly key: RandomKey;
  /** With one, the blocks' activations are computed again in the backward pass, which ends with `tape.backward()`. */
  readonly tape?: ActivationTape;
}

/** The pass for part `index` of what it was made for. Evaluation draws nothing. */
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
}

export interface PartCost {
  /** Multiply-accumulates of one image's forward pass. */
  readonly macs: number;
  readonly parameters: number;
  /** Each of its parameters by name. Needed only to plan a phase that freezes some. */
  readonly tensors?: Readonly<Record<string, TensorCost>>;
}

/** One of a part's parameters. */
export interface TensorCost {
  /** Numbers in it. */
  readonly parameters: number;
  /** Multiply-accumulates with it in one image's forward pass. */
  readonly macs: number;
}

/** Numbers that a block holds of one image for the backward pass. */
export interface BlockActivations {
  /** Its parameters are trained. */
  readonly trained: number;
  /** It is frozen, and passes gradients on. */
  readonly suffix: number;
  readonly input: number;
  /** What the last block, if it computes less, does not hold of `trained` and of `suffix`. Default 0. */
  readonly lastSpares?: Readonly<Record<'trained' | 'suffix', number>>;
  /** Beside these, while the block is computed. */
  readonly workspace: number;
}

export interface BlockCost extends PartCost {
  /** Absent where the model does not say. */
  readonly activations?: BlockActivations;
}

/**
 * Which blocks of the undivided model a block stands for: `from` ... `to` - 1. It takes what block `from` takes, and gives
 * what block `to` - 1 gives. A block of the model itself stands for one; a block of a meta model for its share of the
 * module's.
 */
export interface BlockSpan {
  readonly from: number;
  readonly to: number;
}

/** Where a block is. */
export interface BlockPlace extends BlockSpan {
  /** Only the head reads its output, so that it may leave out what the head does not read. */
  readonly isLast: boolean;
}

/**
 * What can be divided: a stem, `depth` blocks, and a head. src/models/ has two families of them; docs/own-model.md makes
 * another. The stem's and head's parameters are named without a prefix, as in the official checkpoints
 * (`patch_embed.proj.weight`, `blocks.0...`, `norm.weight`, `head.weight`).
 */
export interface Divisible {
  readonly depth: number;
  makeStem(context: InitContext): Layer;
  /** Models whose blocks all take and give the same shape need no `place`. */
  makeBlock(dropPathRate: number, context: InitContext, place: BlockPlace): Layer;
  makeHead(context: InitContext): Layer;
}

/** A divisible model of which a run can be planned: what it takes, gives and costs is known before it is built. */
export interface Blueprint extends Divisible {
  /** Of one image as the stem takes it. */
  readonly input: { readonly channels: number; readonly size: number };
  readonly classes: number;
  /** Multiply-accumulates of one image's forward pass, and parameters, of each part. */
  readonly cost: {
    readonly stem: PartCost;
    readonly head: PartCost;
    block(span: BlockSpan): BlockCost;
  };
  /** Names that weight decay leaves alone beside biases and vectors, where the whole model is trained. */
  readonly undecayed: readonly string[];
}

/** Runs `steps` one after another. What the backward pass does not need of each is freed at once. */
function inSequence(steps: Iterable<(x: Tensor) => Tensor>, x: Tensor): Tensor {
  let y = x;
  for (const step of steps) {
    const input = y;
    y = scope(() => step(input));
    if (input !== x && input !== y) input.free();
  }
  return y;
}

/**
 * Consecutive blocks; the first stage owns the stem too, the last one the head.
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

  override *namedModules(prefix = ''): Iterable<[string, Module]> {
    yield [prefix, this];
    if (this.stem) yield* this.stem.namedModules(prefix);
    for (const [i, block] of this.blocks.entries()) yield* block.namedModules(`${prefix}blocks.${i}.`);
    if (this.head) yield* this.head.namedModules(prefix);
  }

  *#steps(pass: Pass): Iterable<(x: Tensor) => Tensor> {
    const { stem, blocks, head } = this;
    if (stem) yield (x) => stem.forward(x, pass);
    for (const [i, block] of blocks.entries()) {
      const forward = (x: Tensor) => block.forward(x, within(pass, i));
      yield (x) => pass.tape?.run(block, x, forward) ?? forward(x);
    }
    if (head) yield (x) => head.forward(x, pass);
  }
}

/**
 * What training does with a stage. `trained`: forward, weight and activation gradients. `prefix`: frozen and
 * before everything trained, forward alone. `suffix`: frozen and after it, forward and activation gradients.
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
    return this.forwardStages(images, 0, this.stages.length, pass);
  }

  /**
   * Stages `from` ... `to` - 1 alone, as they run within the model.
   * @param x what stage `from` takes: images, or the features [B, N, D] after stage `from` - 1
   * @returns what stage `to` - 1 gives: features, or logits
   * @throws RangeError when the model has no such stages
   */
  forwardStages(x: Tensor, from: number, to: number, pass: Pass): Tensor {
    const { stages, regimes } = this;
    if (!(0 <= from && from <= to && to <= stages.length)) {
      throw new RangeError(`stages ${from} to ${to} of a model that has ${stages.length}`);
    }
    const steps = stages.slice(from, to).map((stage, i) => (input: Tensor) => {
      const forward = () => stage.forward(input, within(pass, from + i));
      return regimes[from + i] === 'prefix' ? noGrad(forward) : forward();
    });
    return inSequence(steps, x);
  }

  /** The parameters that training changes, by name. */
  trainedParameters(): [name: string, parameter: Tensor][] {
    return [...this.namedParameters()].filter(([, parameter]) => parameter.requiresGrad);
  }

  /** The buffers that training changes, by name: those of the trained stages. */
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

/** What a stage is built from. */
export interface StagePlan {
  /** Blocks of each stage of the model that is built: the target, its meta model or a hybrid. */
  readonly depths: readonly number[];
  /** Blocks of each module of the target. Default: see `targetOf`. */
  readonly target?: readonly number[] | undefined;
  /** Of the last block. Rates rise linearly over the blocks of the model that is built, from 0. Default 0. */
  readonly dropPath?: number;
}

/** Builds stage `index` of a model. */
export function buildStage(
  blueprint: Divisible,
  plan: StagePlan,
  index: number,
  context: InitContext,
): Stage {
  const { depths, dropPath = 0 } = plan;
  const rates = dropPathRates(depths, dropPath)[index];
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
 * The division of a model of `depth` blocks that stages of `depths` blocks stand for, where none is given: their own if
 * they are all its blocks, else the most even one.
 */
export function targetOf(depth: number, depths: readonly number[]): readonly number[] {
  if (depths.reduce((a, b) => a + b, 0) === depth) return depths;
  const cut = (stage: number) => Math.floor((stage * depth) / depths.length);
  return depths.map((_, stage) => cut(stage + 1) - cut(stage));
}

/**
 * Per stage and block: the blocks of the target that it stands for. A stage stands for its module's, which its blocks share
 * as evenly as can be.
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

/** Per stage and block: float32 linspace(0, rate, number of blocks), as the official code computes it. */
export function dropPathRates(depths: readonly number[], rate: number): number[][] {
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
