import type { Blueprint } from '../models/staged.js';
import type { Phase } from '../recipe/phases.js';
import { parameterCount, trainedParameterCount } from './cost.js';

/** What a phase's process holds while it trains, bytes. */
export interface PhaseMemory {
  readonly weights: number;
  /** Present at once only after the backward pass, when the activations are gone. */
  readonly gradients: number;
  /** AdamW's two averages, or what the optimiser keeps; averaged weights (ema) too. */
  readonly optimizer: number;
  /** Of one micro-batch, kept from the forward pass for the backward pass. Null where the model does not tell. */
  readonly activations: number | null;
  /** The same with activation checkpointing. */
  readonly activations_checkpointed: number | null;
  /** The most at once: weights, optimiser, gradients with activations (`together`), and a block's workspace. */
  readonly peak: number | null;
}

/**
 * Gradients come as activations go, so that the larger of the two is held; but not every gap that activations leave
 * fits a gradient. The share of the smaller that comes on top was measured (docs/results.md).
 */
function together(a: number, b: number): number {
  return Math.max(a, b) + 0.35 * Math.min(a, b);
}

/** Share of the gradients that is held twice while they come: measured too. */
const COPIES = 0.15;

const FLOAT = 4;
const STATES = { adamw: 2, lamb: 2, lion: 1, sgd: 1 };

export function phaseMemory(blueprint: Blueprint, { depths, regimes, settings }: Phase): PhaseMemory {
  const trained = trainedParameterCount(blueprint, depths, regimes);
  const weights =
    FLOAT *
    parameterCount(
      blueprint,
      depths.reduce((a, b) => a + b, 0),
    );
  const gradients = FLOAT * trained;
  const states = STATES[settings.optimizer.name] + (settings.ema === null ? 0 : 1);
  const optimizer = FLOAT * states * trained;
  const held = { weights, gradients, optimizer };
  const { activations: of } = blueprint.cost.block;
  if (of === undefined) return { ...held, activations: null, activations_checkpointed: null, peak: null };

  const images = settings.batch_size;
  // bfloat16 halves what matrix products keep; norms, attention on the CPU and the residual stay float32.
  const width = settings.precision === 'bfloat16' ? 0.75 * FLOAT : FLOAT;
  const blocks = (regime: 'trained' | 'suffix') =>
    depths.reduce((sum, depth, stage) => sum + (regimes[stage] === regime ? depth : 0), 0);
  const last = regimes[regimes.length - 1];
  const spared = last === 'prefix' ? 0 : (of.lastSpares?.[last] ?? 0);
  const kept = blocks('trained') * of.trained + blocks('suffix') * of.suffix - spared;
  const activations = images * width * kept;
  // Each block's input, and of one block at a time everything.
  const inputs = (blocks('trained') + blocks('suffix')) * of.input;
  const checkpointed = images * (FLOAT * inputs + width * of.trained);
  const inUse = settings.activation_checkpointing ? checkpointed : activations;
  const workspace = images * FLOAT * of.workspace;
  return {
    ...held,
    activations,
    activations_checkpointed: checkpointed,
    peak: weights + optimizer + together((1 + COPIES) * gradients, inUse) + workspace,
  };
}
