import { describe, expect, test } from 'vitest';
import { DEVICE } from '../../test/test-device.js';
import { TINY } from '../../test/tiny-vit.js';
import { InputError, RunError } from '../base/errors.js';
import { randomStream } from '../base/random.js';
import type { TensorData } from '../base/tensor-data.js';
import type { Batch } from '../data/dataset.js';
import { assemble } from '../method/assemble.js';
import { hybridRegimes } from '../method/hybrid.js';
import type { StagedModel } from '../models/staged.js';
import { vit } from '../models/vit/vit.js';
import { loadWeights, weightsOf } from '../nn/weights.js';
import { classification } from '../tasks/classification/classification.js';
import { tensorOperator } from '../torch/operator.js';
import { add, mul } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import type { Tensor } from '../torch/tensor.js';
import { adamw } from './optimizers/adamw.js';
import { decayGroups, type Optimizer } from './optimizers/optimizer.js';
import { stepCosine } from './schedule.js';
import type { StepReport } from './step-values.js';
import { type TrainOptions, train } from './trainer.js';

const STEPS = 6;

/** A hybrid whose drop path is on in trained and frozen stages. */
function hybrid(): StagedModel {
  const context = { device: DEVICE, dtype: 'F32', generator: new Generator().seed(['weights']) } as const;
  return assemble(vit(TINY), [1, 2, 1], [null, null, null], context, {
    regimes: hybridRegimes(3, 1),
    dropPath: 0.5,
  });
}

const optimizerOf = (model: StagedModel): Optimizer =>
  adamw(decayGroups(model.trainedParameters(), 0.05, []));

function batchAt(micro: number, size = 4): Batch {
  const stream = randomStream(['batch', micro]);
  return {
    size,
    channels: 1,
    height: 8,
    width: 8,
    images: Uint8Array.from({ length: size * 64 }, () => stream.integer(0, 255)),
    labels: Int32Array.from({ length: size }, () => stream.integer(0, 2)),
    indices: Int32Array.from({ length: size }, (_, i) => 100 * micro + i),
  };
}

async function* batches(from: number, to: number): AsyncGenerator<Batch> {
  for (let micro = from; micro < to; micro++) yield batchAt(micro);
}

const task = classification({
  channels: 1,
  classes: 3,
  mean: [0.5],
  std: [0.5],
  labelSmoothing: 0.1,
  device: DEVICE,
});

async function run(model: StagedModel, optimizer: Optimizer, change: Partial<TrainOptions> = {}) {
  const reports: StepReport[] = [];
  const { fromStep = 0, steps = STEPS, accumulate = 1 } = change;
  await train({
    model,
    task,
    optimizer,
    fromStep,
    steps,
    accumulate,
    schedule: stepCosine({ lr: 0.01, warmupLr: 1e-4, minLr: 1e-4, steps: STEPS, warmupSteps: 2 }),
    batches: batches(fromStep * accumulate, steps * accumulate),
    clipGrad: 1,
    precision: 'float32',
    device: DEVICE,
    generator: new Generator(),
    seed: 7,
    phase: 'MT/1',
    ...change,
    afterStep: async (report) => {
      reports.push(report);
      await change.afterStep?.(report);
    },
  });
  return reports;
}

describe.each([{ accumulate: 1 }, { accumulate: 2 }])(
  'with $accumulate micro-batches a step',
  ({ accumulate }) => {
    test('a run resumed from any step is bit-identical', async () => {
      const straight = hybrid();
      const optimizer = optimizerOf(straight);
      const saved: { weights: Map<string, TensorData>; state: Map<string, TensorData> }[] = [];
      const save = () => saved.push({ weights: weightsOf(straight), state: optimizer.state() });
      save();
      const reports = await run(straight, optimizer, { accumulate, afterStep: () => void save() });

      for (let step = 0; step < STEPS; step++) {
        const model = hybrid();
        const resumed = optimizerOf(model);
        loadWeights(model, saved[step].weights, 'a checkpoint');
        if (step > 0) resumed.load(saved[step].state);
        const later = await run(model, resumed, { accumulate, fromStep: step });
        expect(later.map(({ loss }) => loss)).toEqual(reports.slice(step).map(({ loss }) => loss));
        expect(weightsOf(model)).toEqual(saved[STEPS].weights);
        expect(resumed.state()).toEqual(saved[STEPS].state);
        model.free();
      }
    });
  },
);

test('drop path follows seed, phase, step and micro-batch', async () => {
  const losses = async (change: Partial<TrainOptions>) => {
    const model = hybrid();
    const frozen: Optimizer = { ...optimizerOf(model), step: () => {} };
    const reports = await run(model, frozen, {
      batches: (async function* () {
        while (true) yield batchAt(0);
      })(),
      ...change,
    });
    return reports.map(({ loss }) => loss);
  };
  const same = await losses({});
  // The same batch and weights every step: only drop path makes the losses differ.
  expect(new Set(same).size).toBe(STEPS);
  expect(await losses({})).toEqual(same);
  expect(await losses({ seed: 8 })).not.toEqual(same);
  expect(await losses({ phase: 'MT/2' })).not.toEqual(same);
  const [twice] = await losses({ accumulate: 2, steps: 1 });
  expect(twice).not.toBe(same[0]);
  // Phases that share a key have the same masks.
  const dropPathKey = [7, 'drop-path', 'MT'];
  const shared = await losses({ dropPathKey });
  expect(shared).not.toEqual(same);
  expect(await losses({ dropPathKey, phase: 'MT/2' })).toEqual(shared);
});

test('reports contain step, images, rate, and the gradient norm, clipped or not', async () => {
  const model = hybrid();
  const clipped = await run(model, optimizerOf(model), { accumulate: 2 });
  expect(clipped.map(({ step, images }) => [step, images])).toEqual(
    [1, 2, 3, 4, 5, 6].map((step) => [step, 8]),
  );
  expect(clipped[1].lr).toBe(0.01);
  for (const { gradNorm, loss, milliseconds, dataMilliseconds } of clipped) {
    expect(gradNorm).toBeGreaterThan(0);
    expect(loss).toBeGreaterThan(0);
    expect(milliseconds).toBeGreaterThanOrEqual(dataMilliseconds);
  }
  const norms = async (clipGrad: number | null) => {
    const fresh = hybrid();
    return (await run(fresh, optimizerOf(fresh), { clipGrad, accumulate: 2 })).map(
      (report) => report.gradNorm,
    );
  };
  expect(await norms(null)).toEqual(await norms(1e9));
  expect(model.parameters().every(({ grad }) => grad === null)).toBe(true);
});

test('bfloat16 trains: weights stay float32, losses near those of float32', async () => {
  const [exact, narrow] = [hybrid(), hybrid()];
  const reports = await run(exact, optimizerOf(exact));
  const low = await run(narrow, optimizerOf(narrow), { precision: 'bfloat16' });
  for (const [i, { loss }] of low.entries()) {
    expect(Math.abs(loss / reports[i].loss - 1)).toBeLessThan(0.02);
    expect(loss).not.toBe(reports[i].loss);
  }
  expect(narrow.parameters().every(({ dtype }) => dtype === 'F32')).toBe(true);
});

/** Steps that are reported after one that is not finite: a GPU queues the next step before it reads this one. */
const LATE = DEVICE === 'cpu' ? 0 : 1;

describe('errors that stop the loop', () => {
  /** The error of a run in which `spoil` changes the model's output from step `from` on. */
  async function failure(
    change: Partial<TrainOptions>,
    spoil: (output: Tensor) => Tensor = (output) => output,
    from = 0,
  ): Promise<{ error: RunError; done: number }> {
    const model = hybrid();
    let [forwards, done] = [0, 0];
    let weights = weightsOf(model);
    const spoiled: TrainOptions['model'] = {
      trainedParameters: () => model.trainedParameters(),
      forward: (x, pass) => (forwards++ < from ? model.forward(x, pass) : spoil(model.forward(x, pass))),
    };
    const afterStep = () => {
      done += 1;
      weights = weightsOf(model);
    };
    const error = await run(model, optimizerOf(model), { ...change, model: spoiled, afterStep }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(RunError);
    // The failed step did not change them.
    expect(weightsOf(model)).toEqual(weights);
    return { error: error as RunError, done };
  }

  test('a non-finite loss: reported with phase, step and images', async () => {
    const { error, done } = await failure({}, (output) => mul(output, Number.NaN), 2);
    expect(error.message).toBe('MT/1: the loss is NaN at step 3 (images 200, 201, 202, 203)');
    expect(error.hint).toContain('learning rate');
    expect(done).toBe(2 + LATE);
  });

  test('of many images, the first eight are named', async () => {
    const long = (async function* () {
      yield batchAt(0, 10);
    })();
    const { error } = await failure({ batches: long }, (output) => mul(output, Number.POSITIVE_INFINITY));
    expect(error.message).toContain('at step 1 (images 0, 1, 2, 3, 4, 5, 6, 7 ...)');
  });

  test('or with the caller’s descriptions', async () => {
    const describe = (index: number) => `cat/${index}.png`;
    const { error } = await failure({ describe }, (output) => mul(output, Number.NaN), 1);
    const files = 'cat/100.png, cat/101.png, cat/102.png, cat/103.png';
    expect(error.message).toBe(`MT/1: the loss is NaN at step 2 (images ${files})`);
  });

  test.each([1, null])(
    'a non-finite gradient of a finite loss, gradients clipped to %s',
    async (clipGrad) => {
      // The slope of the root at 0 is infinite.
      const sqrt = tensorOperator('aten::sqrt');
      const spoil = (output: Tensor) => add(output, sqrt(mul(output, 0)));
      const { error, done } = await failure({ clipGrad }, spoil, 1);
      expect(error.message).toBe('MT/1: the gradient norm is NaN at step 2');
      expect(done).toBe(1 + LATE);
      const late = await failure({ clipGrad, accumulate: 2, batches: batches(0, 12) }, spoil, 2);
      expect(late.error.message).toBe('MT/1: the gradient norm is NaN at step 2');
    },
  );

  test('data that ends early', async () => {
    const { error, done } = await failure({ accumulate: 2, batches: batches(0, 7) });
    expect(error.message).toBe('MT/1: ran out of data at step 3 of 6');
    expect(done).toBe(3);
  });

  test('an error of the data, or of afterStep, unchanged; the data iterator is closed', async () => {
    const model = hybrid();
    let closed = false;
    const endless = (async function* () {
      try {
        while (true) yield batchAt(0);
      } finally {
        closed = true;
      }
    })();
    const failing = run(model, optimizerOf(model), {
      batches: endless,
      afterStep: ({ step }) => {
        if (step === 2) throw new RangeError('on purpose');
      },
    });
    await expect(failing).rejects.toThrow(new RangeError('on purpose'));
    expect(closed).toBe(true);
    const broken = (async function* (): AsyncGenerator<Batch> {
      yield batchAt(0);
      throw new TypeError('a broken image');
    })();
    await expect(run(model, optimizerOf(model), { batches: broken })).rejects.toThrow(
      new TypeError('a broken image'),
    );
  });
});

describe('values that are not numbers', () => {
  test.each([
    ['steps', Number.NaN],
    ['steps', 2.5],
    ['steps', -1],
    ['fromStep', -1],
    ['accumulate', 0],
    ['accumulate', 1.5],
    ['clipGrad', 0],
    ['clipGrad', Number.NaN],
  ] as const)('%s = %s is refused before the first step', async (name, value) => {
    const model = hybrid();
    const before = weightsOf(model);
    // The data is valid: only the option is wrong.
    const data = { batches: batches(0, 2), steps: 2 };
    const training = run(model, optimizerOf(model), { ...data, [name]: value });
    await expect(training).rejects.toThrow(`${name} is ${value}`);
    expect(weightsOf(model)).toEqual(before);
  });

  test.each([Number.NaN, -1, Number.POSITIVE_INFINITY])(
    'a learning rate of %s is refused before it reaches a weight, at the last step too',
    async (lr) => {
      const model = hybrid();
      let good: unknown;
      const training = run(model, optimizerOf(model), {
        schedule: (step) => (step === STEPS - 1 ? lr : 0.01),
        afterStep: () => {
          good = weightsOf(model);
        },
      });
      await expect(training).rejects.toThrow(InputError);
      await expect(training).rejects.toThrow(`MT/1: the learning rate is ${lr} at step ${STEPS}`);
      expect(weightsOf(model)).toEqual(good);
    },
  );
});

test('earlier gradients are not part of the first step', async () => {
  const weights = async (hasFailed: boolean) => {
    const model = hybrid();
    const optimizer = optimizerOf(model);
    if (hasFailed) {
      // Fails at its second micro-batch, so the gradients of the first remain.
      const short = { accumulate: 2, batches: batches(0, 1) };
      await expect(run(model, optimizer, short)).rejects.toThrow('ran out of data at step 0');
    }
    await run(model, optimizer);
    return weightsOf(model);
  };
  expect(await weights(true)).toEqual(await weights(false));
});

test('timers and signals are handled between steps, whatever the source of the batches', async () => {
  const model = hybrid();
  let turns = 0;
  const count = () => {
    turns += 1;
    pending = setImmediate(count);
  };
  let pending = setImmediate(count);
  const seen: number[] = [];
  await run(model, optimizerOf(model), { afterStep: () => void seen.push(turns) });
  clearImmediate(pending);
  for (const [i, turn] of seen.entries()) if (i > 0) expect(turn).toBeGreaterThan(seen[i - 1]);
});
