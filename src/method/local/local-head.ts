import type { BlockActivations, PartCost } from '../../models/staged.js';
import { Module } from '../../nn/module.js';
import type { Tensor } from '../../torch/tensor.js';

/** What an auxiliary head learns from. */
export interface HeadInput {
  /** The module's output as an image, [B, C, H, W]. */
  readonly map: Tensor;
  /** The images, pixels in 0 ... 1: [B, channels, S, S]. */
  readonly pixels: Tensor;
  /** I64 [B]. */
  readonly labels: Tensor;
  /** The task's loss of logits [B, classes]. */
  lossOf(logits: Tensor): Tensor;
}

/** The auxiliary head of a module that is trained by its own loss. It is needed only in training. */
export abstract class LocalHead extends Module {
  /** The module's loss: one element. */
  abstract loss(input: HeadInput): Tensor;
}

/** Heads and batch norms work as in training: they are not evaluated. */
export const TRAINING = { training: true };

/** The sizes that determine the heads of a model. */
export interface HeadSizes {
  /** [C, H, W] of the module's output. */
  readonly map: readonly [channels: number, height: number, width: number];
  /** Channels of the model's last features. */
  readonly widest: number;
  readonly image: { readonly channels: number; readonly size: number };
  readonly classes: number;
}

/** Cost of an auxiliary head for one image. */
export interface HeadCost extends PartCost {
  readonly activations: Pick<BlockActivations, 'trained' | 'workspace'>;
}
