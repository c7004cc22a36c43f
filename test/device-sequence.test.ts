import { beforeAll, describe, expect, test } from 'vitest';
import type { Task } from '../src/training/task.js';
import { type RecordedCalls, recordCalls } from './device-calls.js';
import { type Case, trained } from './device-training.js';
import { loadFake } from './test-device.js';

// The requirements of a CUDA graph of a step, and the cost of a step on the host. Addresses are not compared, because the
// fake accelerator allocates with malloc, which does not repeat them.

let fake: ReturnType<typeof loadFake>;
let takeCalls: () => RecordedCalls;
beforeAll(() => {
  takeCalls = recordCalls();
  fake = loadFake();
});

interface Step {
  /** Operators from TypeScript after the input is prepared: forward pass and optimiser. */
  readonly calls: RecordedCalls;
  /** Everything that the device ran for them, with the backward pass. */
  readonly kernels: Record<string, number>;
}

/** Steps with mixup and cutmix in turn, boxes of other sizes, and other drop-path masks. */
async function stepsOf(options: Partial<Case>, steps = 6): Promise<Step[]> {
  const found: Step[] = [];
  const take = () => ({ calls: takeCalls(), kernels: fake.take() });
  const taskOf = <T>(task: Task<T>): Task<T> => ({
    ...task,
    prepare: (batch) => {
      const prepared = task.prepare(batch);
      take();
      return prepared;
    },
  });
  const afterStep = () => void found.push(take());
  await (await trained({ device: 'fake:0', steps, taskOf, afterStep, ...options })).running;
  // The first step looks up operators and makes constants; the second is the first that reads an earlier step's values.
  return found.slice(2);
}

const SETTINGS: [string, Partial<Case>][] = [
  ['a step', {}],
  ['a step with clipped gradients', { clipGrad: 1 }],
  ['a step in bfloat16', { precision: 'bfloat16' }],
  ['a step with activation checkpointing', { activationCheckpointing: true }],
  ['a step of a hybrid', { isHybrid: true }],
];

describe.each(SETTINGS)('%s', (_, options) => {
  test('has the same operators and shapes whatever the augmentation', async () => {
    const [first, ...others] = await stepsOf(options);
    const sequence = ({ calls }: Step) =>
      calls.operators.map(({ name, tensors }) => [name, ...tensors].join(' '));
    expect(sequence(first).length).toBeGreaterThan(50);
    for (const other of others) {
      expect(sequence(other)).toEqual(sequence(first));
      expect(other.kernels).toEqual(first.kernels);
    }
  });

  test("has the same numbers, except the optimiser's", async () => {
    const [first, ...others] = await stepsOf(options);
    const changed = others.flatMap(({ calls }) =>
      calls.operators
        .filter(({ values }, i) => values !== first.calls.operators[i].values)
        .map(({ name }) => name),
    );
    // The number of the step. A graph needs it on the device, like the learning rate, which is constant here.
    expect([...new Set(changed)]).toEqual(['aten::full']);
  });
});

describe('each further block', () => {
  /** [kernels, operators from TypeScript, calls of the addon] of a block of a trained stage. */
  async function perBlock(options: Partial<Case>) {
    const cost = async (depth: number) => {
      const [{ calls, kernels }] = await stepsOf({ ...options, depths: [depth] }, 3);
      const sum = (counts: Readonly<Record<string, number>>, isCounted: (name: string) => boolean) =>
        Object.entries(counts).reduce((total, [name, count]) => total + (isCounted(name) ? count : 0), 0);
      return [
        sum(kernels, (name) => name.startsWith('kernel ')),
        calls.operators.length,
        sum(calls.counts, () => true),
      ];
    };
    const [few, many] = [await cost(4), await cost(8)];
    return many.map((count, i) => (count - few[i]) / 4);
  }

  // The numbers of libtorch 2.13. The fake accelerator counts an operator on a list of tensors once per tensor.
  test.each([
    ['in float32', {}, { kernels: 66, operators: 25, calls: 66 }],
    ['in bfloat16', { precision: 'bfloat16' }, { kernels: 97, operators: 25, calls: 67 }],
    [
      'with activation checkpointing',
      { activationCheckpointing: true },
      { kernels: 92, operators: 52, calls: 125 },
    ],
  ] as const)('%s: at most so many kernels, operators and calls', async (_, options, limits) => {
    const [kernels, operators, calls] = await perBlock(options);
    expect(kernels).toBeLessThanOrEqual(limits.kernels);
    expect(operators).toBeLessThanOrEqual(limits.operators);
    expect(calls).toBeLessThanOrEqual(limits.calls);
    expect(operators).toBeGreaterThan(20);
  });
});
