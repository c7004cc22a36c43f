import { atSize, type BlockActivations } from '../models/staged.js';
import type { Phase } from '../recipe/phase.js';
import { noHiddenMatrix } from '../training/optimizers/muon.js';
import { largestSize, parameterCount } from './cost.js';
import { auxiliaryCost, type ModelPart, partsOf } from './parts.js';

/** Memory of a phase's process during training, in bytes. */
export interface PhaseMemory {
  readonly weights: number;
  /** All of them exist at the same time only after the backward pass, when the activations have been freed. */
  readonly gradients: number;
  /** State of the optimiser, such as AdamW's two averages, and averaged weights (ema). */
  readonly optimizer: number;
  /** Activations of one micro-batch at the largest size of its images, kept for the backward pass. Null if the model does not state their size. */
  readonly activations: number | null;
  /** Like `activations`, with activation checkpointing. */
  readonly activations_checkpointed: number | null;
  /** Peak memory: weights, optimiser, gradients and activations (`together`), and a block's workspace. */
  readonly peak: number | null;
}

/**
 * Gradients are allocated while activations are freed, so mainly the larger of the two counts. But gradients do not fit
 * into every gap that activations leave. The share of the smaller that is added for this was measured (docs/results.md).
 */
function together(a: number, b: number): number {
  return Math.max(a, b) + 0.35 * Math.min(a, b);
}

/** Share of the gradients that is held twice while they are computed. Also measured. */
const COPIES = 0.15;

const FLOAT = 4;

/** @throws InputError if the optimiser is muon and the phase trains no matrix of a block */
export function phaseMemory(phase: Phase): PhaseMemory {
  const { name, blueprint, depths, regimes, target, settings } = phase;
  const model = { depths, regimes, target, freeze: settings.freeze };
  const whole = partsOf(blueprint, model);
  const parts = partsOf(atSize(blueprint, largestSize(phase)), model);
  const auxiliary = auxiliaryCost(phase);
  const trained = whole.reduce((sum, part) => sum + part.trained, auxiliary.parameters);
  const weights = FLOAT * (parameterCount(blueprint, depths, target) + auxiliary.parameters);
  const gradients = FLOAT * trained;
  const averages = settings.ema === null ? 0 : trained;
  const optimizer = FLOAT * (stateElements(name, settings.optimizer, whole, auxiliary.parameters) + averages);
  const held = { weights, gradients, optimizer };
  const blocks = heldBlocks(parts);
  if (blocks === null) return { ...held, activations: null, activations_checkpointed: null, peak: null };

  const images = settings.batch_size;
  // For `auto`, this is the memory in float32.
  // bfloat16 halves the activations of matrix products; norms, attention on the CPU and the residual stay float32.
  const width = settings.precision === 'bfloat16' ? 0.75 * FLOAT : FLOAT;
  const most = (of: (block: BlockActivations) => number) =>
    Math.max(0, ...blocks.map(({ block }) => of(block)));
  const sum = (of: (held: HeldBlock) => number) => blocks.reduce((total, each) => total + of(each), 0);
  const last = parts.findLast(({ kind }) => kind === 'block');
  const spares = last?.passesBack ? last.cost.activations?.lastSpares : undefined;
  const spared = last && spares ? keptOf(spares, last.share) : 0;
  // Heads are not recomputed.
  const decoder = parts.find(({ kind, passesBack }) => kind === 'head' && passesBack)?.cost.activations;
  const heads = images * width * (auxiliary.activations + (decoder?.trained ?? 0));
  const activations = heads + images * width * (sum(({ block, share }) => keptOf(block, share)) - spared);
  // The input of each block, and all activations of one block at a time.
  const inputs = sum(({ block }) => block.input);
  const checkpointed = heads + images * (FLOAT * inputs + width * most((block) => block.trained));
  const inUse = settings.activation_checkpointing ? checkpointed : activations;
  const workspace =
    images *
    FLOAT *
    Math.max(
      auxiliary.workspace,
      decoder?.workspace ?? 0,
      most((block) => block.workspace),
    );
  return {
    ...held,
    activations,
    activations_checkpointed: checkpointed,
    peak: weights + optimizer + together((1 + COPIES) * gradients, inUse) + workspace,
  };
}

function stateElements(
  phase: string,
  { name, momentum }: Phase['settings']['optimizer'],
  parts: readonly ModelPart[],
  auxiliary: number,
): number {
  const trained = parts.reduce((sum, part) => sum + part.trained, auxiliary);
  if (name === 'sgd') return momentum > 0 ? trained : 0;
  if (name === 'lion') return trained;
  if (name !== 'muon') return 2 * trained;
  const blocks = parts.filter(({ kind }) => kind === 'block');
  // If the model does not state its matrices, AdamW's state for all parameters is an upper bound.
  const matrices = blocks.map(({ trainedInMatrices }) => trainedInMatrices);
  const known = matrices.reduce((sum: number, count) => sum + (count ?? 0), 0);
  if (known === 0 && !matrices.includes(undefined)) throw noHiddenMatrix(phase);
  return 2 * trained - known;
}

interface HeldBlock extends Pick<ModelPart, 'share'> {
  readonly block: BlockActivations;
}

/**
 * The blocks that hold activations for the backward pass: those that gradients pass through. Null if the model does not
 * state the size of the activations.
 */
function heldBlocks(parts: readonly ModelPart[]): HeldBlock[] | null {
  const held: HeldBlock[] = [];
  for (const { kind, passesBack, share, cost } of parts) {
    if (kind !== 'block' || !passesBack) continue;
    if (cost.activations === undefined) return null;
    held.push({ block: cost.activations, share });
  }
  return held;
}

/** Size of the activations that are kept if gradients are computed for a share of the weights. */
function keptOf({ trained, suffix }: Record<'trained' | 'suffix', number>, share: number): number {
  return suffix + share * (trained - suffix);
}
