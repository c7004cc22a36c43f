import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import type { Batch } from '../data/dataset.js';
import { StagedModel } from '../models/staged.js';
import { vit } from '../models/vit/vit.js';
import { weightsOf } from '../nn/weights.js';
import { classification } from '../tasks/classification/classification.js';
import { autocast, backward } from '../torch/autograd.js';
import { Generator } from '../torch/random.js';
import { liveHandles, scope } from '../torch/scope.js';
import { evaluate } from '../training/evaluate.js';
import { adamw } from '../training/optimizers/adamw.js';
import { decayGroups } from '../training/optimizers/optimizer.js';
import { train } from '../training/trainer.js';
import { assemble, type StageWeights } from './assemble.js';
import { hybridDepths, hybridRegimes } from './hybrid.js';
import { imitation } from './imitation.js';

const TARGET = [2, 3, 2];
const META = [1, 1, 1];
const blueprint = vit({
  imageSize: 8,
  patchSize: 4,
  channels: 3,
  classes: 5,
  width: 8,
  depth: 7,
  heads: 2,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
});
const generator = new Generator().seed(['imitation']);
const context = { device: 'cpu', dtype: 'F32', generator } as const;
const training = { training: true, generator, key: [] };
const evalPass = { training: false, generator, key: [] };

const labels = Int32Array.of(0, 1, 2, 3, 4, 0);
const batch: Batch = {
  size: 6,
  channels: 3,
  height: 8,
  width: 8,
  labels,
  indices: labels,
  images: Uint8Array.from({ length: 6 * 3 * 64 }, (_, i) => (i * i + 31 * i) % 256),
};
async function* stream(count: number) {
  for (let i = 0; i < count; i++) yield batch;
}
const task = classification({
  channels: 3,
  classes: 5,
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
  labelSmoothing: 0.1,
  device: 'cpu',
});
const images = task.prepare(batch).input;

const metaWeights = assemble(blueprint, META, [null, null, null], context).stages.map(
  (stage): StageWeights => ({ source: 'meta', weights: weightsOf(stage) }),
);
const metaModel = (dropPath = 0) => assemble(blueprint, META, metaWeights, context, { dropPath });
const meta = metaModel();

/** Module `index`, newly initialised, in the meta model. */
function hybridOf(index: number, dropPath = 0): StagedModel {
  const sources = metaWeights.map((weights, stage) => (stage === index ? null : weights));
  const regimes = hybridRegimes(META.length, index);
  return assemble(blueprint, hybridDepths(TARGET, META, index), sources, context, { regimes, dropPath });
}

function featuresAfter(model: StagedModel, index: number): Float32Array {
  return scope(() =>
    model.stages
      .slice(0, index + 1)
      .reduce((x, stage) => stage.forward(x, evalPass), images)
      .toFloat32Array(),
  );
}

describe.each([0, 1, 2])('module %i', (index) => {
  test('the loss is the mean squared distance from the features of the meta stage', () => {
    const hybrid = hybridOf(index);
    const { model, task: imitating } = imitation(hybrid, meta.stages[index], task);
    const loss = scope(() => {
      const { input, target } = imitating.prepare(batch);
      return imitating.loss(model.forward(input, training), target).item();
    });
    const [module, reference] = [featuresAfter(hybrid, index), featuresAfter(meta, index)];
    const expected = module.reduce((sum, x, i) => sum + (x - reference[i]) ** 2, 0) / module.length;
    expect(expected).toBeGreaterThan(1e-5);
    expect(Math.abs(loss / expected - 1)).toBeLessThan(1e-4);
  });

  test('a module equal to the meta stage has loss 0, whatever the drop path of the other stages', () => {
    const [dropping, module] = [metaModel(0.9), metaModel(0).stages[index]];
    const stages = dropping.stages.map((stage, i) => (i === index ? module : stage));
    const hybrid = new StagedModel(stages, hybridRegimes(META.length, index));
    const { model, task: imitating } = imitation(hybrid, dropping.stages[index], task);
    const loss = scope(() =>
      imitating.loss(model.forward(images, training), imitating.prepare(batch).target).item(),
    );
    expect(loss).toBe(0);
  });

  test('only the module has gradients, in every parameter', () => {
    const hybrid = hybridOf(index);
    const { model, task: imitating } = imitation(hybrid, meta.stages[index], task);
    scope(() => backward(imitating.loss(model.forward(images, training), imitating.prepare(batch).target)));
    for (const [i, stage] of hybrid.stages.entries()) {
      for (const [name, parameter] of stage.namedParameters()) {
        expect(parameter.grad !== null, `stages.${i}.${name}`).toBe(i === index);
      }
    }
    expect(meta.parameters().every(({ grad }) => grad === null)).toBe(true);
    expect(model.trainedParameters()).toEqual(hybrid.trainedParameters());
  });

  test('only the module drops paths in training', () => {
    const difference = (hybrid: StagedModel, key: string) =>
      scope(() =>
        imitation(hybrid, meta.stages[index], task)
          .model.forward(images, { training: true, generator, key: [key] })
          .toFloat32Array(),
      );
    const dropping = hybridOf(index, 0.5);
    expect(difference(dropping, 'a')).toEqual(difference(dropping, 'a'));
    expect(difference(dropping, 'a')).not.toEqual(difference(dropping, 'b'));

    const module = hybridOf(index).stages[index];
    const stages = metaModel(0.9).stages.map((stage, i) => (i === index ? module : stage));
    const around = new StagedModel(stages, hybridRegimes(META.length, index));
    expect(difference(around, 'a')).toEqual(difference(around, 'b'));
  });

  test('only the difference is kept', () => {
    const { model } = imitation(hybridOf(index), meta.stages[index], task);
    const before = liveHandles();
    const difference = model.forward(images, training);
    expect(liveHandles()).toBe(before + 1);
    difference.free();
  });
});

test('training reduces the loss, and evaluation is unchanged', async () => {
  const hybrid = hybridOf(1);
  const imitating = imitation(hybrid, meta.stages[1], task);
  const losses: number[] = [];
  await train({
    ...imitating,
    optimizer: adamw(decayGroups(hybrid.trainedParameters(), 0, [])),
    schedule: () => 3e-3,
    batches: stream(30),
    fromStep: 0,
    steps: 30,
    accumulate: 1,
    clipGrad: null,
    precision: 'float32',
    device: 'cpu',
    generator: new Generator(),
    seed: 0,
    phase: 'MT/1',
    afterStep: ({ loss }) => {
      losses.push(loss);
    },
  });
  expect(losses[29]).toBeLessThan(losses[0] / 2);
  const options = { precision: 'float32', device: 'cpu', generator } as const;
  const usual = await evaluate({ ...options, model: hybrid, task, batches: stream(1) });
  expect(await evaluate({ ...options, model: hybrid, task: imitating.task, batches: stream(1) })).toEqual(
    usual,
  );
});

test('in bfloat16 distances are computed in float32', () => {
  const { model, task: imitating } = imitation(hybridOf(2), meta.stages[2], task);
  const { target } = imitating.prepare(batch);
  const loss = () => imitating.loss(model.forward(images, training), target);
  scope(() => {
    const narrow = autocast('cpu', 'BF16', loss);
    expect(narrow.dtype).toBe('F32');
    expect(Math.abs(narrow.item() / loss().item() - 1)).toBeLessThan(0.1);
  });
});

test('a model that is not a hybrid is refused', () => {
  expect(() => imitation(meta, meta.stages[0], task)).toThrow(InputError);
  expect(() => imitation(meta, meta.stages[0], task)).toThrow('trained, trained, trained');
  const frozen = new StagedModel(hybridOf(0).stages, ['prefix', 'prefix', 'prefix']);
  expect(() => imitation(frozen, meta.stages[0], task)).toThrow(InputError);
});
