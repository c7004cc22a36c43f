import { backwardFrom, isRecording, noGrad } from '../torch/autograd.js';
import { tensorOperator } from '../torch/operator.js';
import { clone, copyInto } from '../torch/ops.js';
import { keep, scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import type { Module } from './module.js';

/**
 * Activation checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", each block a segment):
 * only the input of a block is kept, and the backward pass recomputes the rest. This costs a second forward pass of those
 * blocks and does not change the results, if a block's output depends only on its input and parameters: its random numbers
 * must be derived from a key.
 *
 * A tape is used for one forward and one backward pass.
 *
 * @example
 * const tape = activationTape();
 * try {
 *   backward(criterion(model.forward(images, { training: true, generator, key, tape }), labels));
 *   tape.backward();
 * } finally {
 *   tape.free();
 * }
 */
export interface ActivationTape {
  /** Runs `forward(x)`. If `x` or a parameter of the block requires a gradient, the block is recorded on the tape. */
  run(block: Module, x: Tensor, forward: (x: Tensor) => Tensor): Tensor;
  /**
   * Continues the loss's backward pass, which stops at the output of the last block: through the blocks, last to
   * first, and through the operations that were recorded before and between them.
   */
  backward(): void;
  /** Frees the entries that no backward pass has freed. Idempotent. */
  free(): void;
}

/** Data for the backward pass of a block. */
interface Entry {
  readonly block: Module;
  readonly forward: (x: Tensor) => Tensor;
  readonly input: Tensor;
  readonly output: Tensor;
}

/** @param computing runs the recomputation under the same conditions as the first forward pass, such as autocast */
export function activationTape(computing: (work: () => Tensor) => Tensor = (work) => work()): ActivationTape {
  const entries: Entry[] = [];
  return {
    run(block, x, forward) {
      if (!isRecording() || !(x.requiresGrad || block.parameters().some((p) => p.requiresGrad))) {
        return forward(x);
      }
      const y = noGrad(() => scope(() => forward(x)));
      if (y === x) return x;
      y.requiresGrad = true;
      entries.push({ block, forward, input: reference(x), output: reference(y) });
      return y;
    },

    backward() {
      for (let entry = entries.pop(); entry !== undefined; entry = entries.pop())
        backThrough(entry, computing);
    },

    free() {
      for (const { input, output } of entries.splice(0)) for (const tensor of [input, output]) tensor.free();
    },
  };
}

function backThrough(entry: Entry, computing: (work: () => Tensor) => Tensor): void {
  const { block, forward, input, output } = entry;
  try {
    scope(() => {
      const gradient = output.grad;
      // The loss does not depend on this output.
      if (gradient === null) return;
      output.free();
      keepingBuffers(block, () =>
        backwardFrom(
          computing(() => scope(() => forward(input))),
          gradient,
        ),
      );
    });
  } finally {
    input.free();
    output.free();
  }
}

/**
 * Runs the second forward pass and its backward pass, and restores the buffers (the statistics of batch norm) to their values
 * after the first forward pass. They are restored at the end: autograd rejects a buffer that changed between the two passes.
 */
function keepingBuffers(block: Module, work: () => void): void {
  const kept = noGrad(() =>
    Array.from(block.namedBuffers(), ([, buffer]) => ({ buffer, before: clone(buffer) })),
  );
  work();
  noGrad(() => {
    for (const { buffer, before } of kept) copyInto(buffer, before);
  });
}

const toOwnType = tensorOperator('aten::to', 'other');

/** A second handle of the same tensor (not a view): the caller's sequence of blocks frees its handle early. */
function reference(x: Tensor): Tensor {
  return keep(toOwnType(x, x));
}
