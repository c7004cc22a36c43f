import { backwardFrom, isRecording, noGrad } from '../torch/autograd.js';
import { tensorOperator } from '../torch/operator.js';
import { clone, copyInto } from '../torch/ops.js';
import { keep, scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import type { Module } from './module.js';

/**
 * Activation checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", each block a segment):
 * of a block only its input is kept, and the backward pass computes the rest again. It costs those blocks a second
 * forward pass and changes no number, as long as a block's output is a function of its input and parameters alone:
 * what it draws must follow from a key.
 *
 * A tape serves one forward and one backward pass.
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
  /** `forward(x)`. Where a gradient is wanted of `x` or of the block's parameters, it goes on the tape. */
  run(block: Module, x: Tensor, forward: (x: Tensor) => Tensor): Tensor;
  /**
   * Continues the backward pass of the loss, which ends at the output of the last block: through the blocks, last to
   * first, and through what was recorded before and between them.
   */
  backward(): void;
  /** Frees what a backward pass has not. Idempotent. */
  free(): void;
}

/** What the backward pass of a block starts from. */
interface Entry {
  readonly block: Module;
  readonly forward: (x: Tensor) => Tensor;
  readonly input: Tensor;
  readonly output: Tensor;
}

/** @param computing runs a block the second time as the first time: under the same autocast */
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
      // Nothing that the loss depends on has read the output.
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
 * Runs the second forward pass and its backward pass, and leaves the buffers (the statistics of batch norm) as the first
 * forward pass left them. They are restored last: autograd refuses a buffer that has changed between the two.
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

/** The tensor itself, not a view of it, once more: the sequence that it is part of frees its own early. */
function reference(x: Tensor): Tensor {
  return keep(toOwnType(x, x));
}
