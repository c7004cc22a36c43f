import { describe, expect, test } from 'vitest';
import { autocast, backward, clearGrads, isRecording, noGrad } from '../torch/autograd.js';
import { add, fillNormal, matmul, mul, slice, sum, zeros } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { liveHandles, scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import { type ActivationTape, activationTape } from './activation-checkpoint.js';
import { Module, parameter } from './module.js';

const generator = new Generator().seed(['activation-checkpoint']);
function normal(shape: readonly number[]): Tensor {
  const drawn = zeros(shape);
  fillNormal(drawn, 0, 1, generator);
  return drawn;
}

/** x + (x W)^2; records how often it ran, and with which pass. */
class Block extends Module {
  readonly weight = parameter(() => normal([4, 4]));
  readonly recorded: boolean[] = [];
  readonly dtypes: string[] = [];

  forward(x: Tensor): Tensor {
    this.recorded.push(isRecording());
    const product = matmul(x, this.weight);
    this.dtypes.push(product.dtype);
    return add(x, mul(product, product));
  }
}

const images = normal([3, 4]);

/** A recorded stem, blocks on a tape or not, a recorded head: the loss. What is between them is freed at once. */
function forward(stem: Tensor, blocks: readonly Block[], tape?: ActivationTape): Tensor {
  return scope(() => {
    let x = mul(images, stem);
    for (const block of blocks) {
      const input = x;
      x = scope(() => tape?.run(block, input, (y) => block.forward(y)) ?? block.forward(input));
      if (x !== input) input.free();
    }
    return sum(mul(x, x));
  });
}

const gradOf = (x: Tensor) => scope(() => x.grad?.toFloat32Array() ?? null);

/** The gradients of all parameters, which are dropped. */
function gradients(stem: Tensor, blocks: readonly Block[]): (Float32Array | null)[] {
  const parameters = [stem, ...blocks.map(({ weight }) => weight)];
  const values = parameters.map(gradOf);
  clearGrads(parameters);
  return values;
}

function both(stem: Tensor, blocks: readonly Block[]) {
  scope(() => backward(forward(stem, blocks), 0.5));
  const plain = gradients(stem, blocks);
  for (const block of blocks) block.recorded.length = 0;
  const before = liveHandles();
  scope(() => {
    const tape = activationTape();
    backward(forward(stem, blocks, tape), 0.5);
    tape.backward();
    tape.free();
  });
  expect(liveHandles()).toBe(before);
  return { plain, taped: gradients(stem, blocks) };
}

const stemOf = (trained: boolean) => {
  const stem = parameter(() => normal([4]));
  stem.requiresGrad = trained;
  return stem;
};

describe('gradients are bit-identical, and nothing is left', () => {
  test('after a recorded stem each block runs twice, first without recording', () => {
    const blocks = [new Block(), new Block(), new Block()];
    const { plain, taped } = both(stemOf(true), blocks);
    expect(plain.every((gradient) => gradient?.some((x) => x !== 0))).toBe(true);
    expect(taped).toEqual(plain);
    for (const block of blocks) expect(block.recorded).toEqual([false, true]);
  });

  test('if the input needs no gradient', () => {
    const { plain, taped } = both(stemOf(false), [new Block(), new Block()]);
    expect(taped).toEqual(plain);
    expect(taped[0]).toBeNull();
  });

  test('in frozen blocks after a trained one', () => {
    const blocks = [new Block(), new Block().setTrainable(false), new Block().setTrainable(false)];
    const { plain, taped } = both(stemOf(false), blocks);
    expect(taped).toEqual(plain);
    expect(taped.map((gradient) => gradient !== null)).toEqual([false, true, false, false]);
    for (const block of blocks) expect(block.recorded).toEqual([false, true]);
  });

  test('accumulated over two passes', () => {
    const [stem, blocks] = [stemOf(true), [new Block(), new Block()]];
    for (const _ of [0, 1]) scope(() => backward(forward(stem, blocks), 0.5));
    const plain = gradients(stem, blocks);
    for (const _ of [0, 1]) {
      scope(() => {
        const tape = activationTape();
        backward(forward(stem, blocks, tape), 0.5);
        tape.backward();
      });
    }
    expect(gradients(stem, blocks)).toEqual(plain);
  });
});

describe('runs once, as usual,', () => {
  test('a block without gradients', () => {
    const blocks = [new Block().setTrainable(false), new Block()];
    const { plain, taped } = both(stemOf(false), blocks);
    expect(taped).toEqual(plain);
    expect(blocks.map(({ recorded }) => recorded)).toEqual([[true], [false, true]]);
  });

  test('a block outside of recording', () => {
    const block = new Block();
    const tape = activationTape();
    scope(() => noGrad(() => tape.run(block, images, (x) => block.forward(x))));
    const before = liveHandles();
    tape.backward();
    expect(block.recorded).toEqual([false]);
    expect(liveHandles()).toBe(before);
  });

  test('a block that the loss does not depend on', () => {
    const [used, unused] = [new Block(), new Block()];
    scope(() => {
      const tape = activationTape();
      const y = tape.run(used, images, (x) => used.forward(x));
      tape.run(unused, y, (x) => unused.forward(x));
      backward(sum(y));
      tape.backward();
    });
    expect(used.recorded).toEqual([false, true]);
    expect(unused.recorded).toEqual([false]);
    expect(gradOf(unused.weight)).toBeNull();
  });
});

test('a block may return its input, or a view of it', () => {
  const [stem, block] = [stemOf(true), new Block()];
  const loss = (tape?: ActivationTape) => {
    const run = (x: Tensor, f: (x: Tensor) => Tensor) => tape?.run(block, x, f) ?? f(x);
    const same = run(mul(images, stem), (x) => x);
    const y = run(same, (x) => block.forward(x));
    return sum(
      mul(
        run(y, (x) => slice(x, 1, 1)),
        3,
      ),
    );
  };
  scope(() => backward(loss()));
  const plain = gradients(stem, [block]);
  scope(() => {
    const tape = activationTape();
    backward(loss(tape));
    tape.backward();
  });
  expect(gradients(stem, [block])).toEqual(plain);
});

test('recomputes with the same pass', () => {
  const block = new Block();
  scope(() => {
    const narrow = (work: () => Tensor) => autocast('cpu', 'BF16', work);
    const tape = activationTape(narrow);
    backward(narrow(() => sum(tape.run(block, images, (x) => block.forward(x)))));
    tape.backward();
  });
  expect(block.dtypes).toEqual(['BF16', 'BF16']);
});

describe('after a failure', () => {
  const fail = () => {
    throw new Error('on purpose');
  };

  test('of the forward pass, the tape frees its tensors', () => {
    const blocks = [new Block(), new Block()];
    const stem = stemOf(true);
    const before = liveHandles();
    const tape = activationTape();
    expect(() => scope(() => void tape.run(blocks[1], forward(stem, blocks, tape), fail))).toThrow('purpose');
    expect(liveHandles()).toBeGreaterThan(before);
    tape.free();
    expect(liveHandles()).toBe(before);
    tape.free();
  });

  test('of the backward pass too', () => {
    const blocks = [new Block(), new Block(), new Block()];
    const stem = stemOf(true);
    const before = liveHandles();
    let runs = 0;
    const tape = activationTape((work) => (++runs === 2 ? fail() : work()));
    expect(() =>
      scope(() => {
        backward(forward(stem, blocks, tape));
        tape.backward();
      }),
    ).toThrow('purpose');
    tape.free();
    expect(liveHandles()).toBe(before);
  });
});
