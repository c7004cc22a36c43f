import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import type { Batch } from '../src/data/dataset.js';
import { assemble } from '../src/method/assemble.js';
import { hybridRegimes } from '../src/method/hybrid.js';
import type { Divisible, Regime } from '../src/models/staged.js';
import { weightsOf } from '../src/nn/weights.js';
import { classification } from '../src/tasks/classification/classification.js';
import { backward } from '../src/torch/autograd.js';
import { Generator } from '../src/torch/random.js';
import { scope } from '../src/torch/scope.js';
import { readSafetensors } from '../src/weights/safetensors/safetensors.js';
import { maxDifference, numbers } from './support.js';

// Only the example's model is needed; importing the example would train it.
vi.mock('deep-incubation', async (original) => ({
  ...(await original<typeof import('../src/index.js')>()),
  runRecipe: async () => [],
}));

// Values of plain PyTorch (fixtures/make-mixer.py) for three blocks.
const path = fileURLToPath(new URL('fixtures/mixer.safetensors', import.meta.url));
const reference = readSafetensors(path).tensors;
const expected = (name: string) => numbers(reference.get(name) as TensorData);
const DEPTHS = [2, 1];

/** The reference's name of a parameter: its blocks are not divided. */
const undivided = (name: string) =>
  name
    .replace(/^stages\.1\.blocks\.0\./, 'blocks.2.')
    .replace(/^stages\.0\.blocks\./, 'blocks.')
    .replace(/^stages\.\d\./, '');

let mixer: Divisible;
beforeAll(async () => {
  vi.spyOn(console, 'log').mockImplementation(() => {});
  const { mixer: family } = await import('../examples/mixer.js');
  const geometry = { imageSize: 28, channels: 3, classes: 10, patch: 7, width: 64, depth: 8 };
  // For the compiler, the example has the types of the built library.
  mixer = family.blueprint(geometry) as unknown as Divisible;
});

function model(regimes?: readonly Regime[]) {
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0]) } as const;
  const fresh = assemble(mixer, DEPTHS, null, context);
  const stages = fresh.stages.map((stage, i) => ({
    weights: new Map(
      [...weightsOf(stage).keys()].map((name) => {
        const tensor = reference.get(`weight.${undivided(`stages.${i}.${name}`)}`);
        return [name, tensor as TensorData] as const;
      }),
    ),
    source: 'the reference',
  }));
  return assemble(mixer, DEPTHS, stages, context, { ...(regimes && { regimes }) });
}

function step(regimes?: readonly Regime[]) {
  const labels = Int32Array.from(expected('labels'));
  const batch: Batch = {
    size: labels.length,
    channels: 3,
    height: 28,
    width: 28,
    labels,
    indices: labels,
    images: (reference.get('images') as TensorData).data,
  };
  const [mean, std] = [Array(3).fill(0.286), Array(3).fill(0.353)];
  const task = classification({ channels: 3, classes: 10, mean, std, device: 'cpu' });
  return scope(() => {
    const built = model(regimes);
    const { input, target } = task.prepare(batch);
    const logits = built.forward(input, { training: true, generator: new Generator(), key: [] });
    const loss = task.loss(logits, target);
    backward(loss);
    const gradients = [...built.namedParameters()].map(([name, { grad }]) => {
      return [undivided(name), grad ? Array.from(grad.toFloat32Array()) : undefined] as const;
    });
    return {
      logits: Array.from(logits.toFloat32Array()),
      loss: loss.item(),
      gradients: new Map(gradients),
    };
  });
}

/** Equal except for rounding, which accumulates over 8 images of 16 patches; relative to the largest element. */
function expectGradient(name: string, ours: readonly number[]): void {
  const theirs = expected(`gradient.${name}`);
  // It shifts all channels of a patch equally, and every norm removes this shift: the true gradient is 0.
  const isZero = name.endsWith('mlp_tokens.fc2.bias');
  const bound = isZero ? 1e-7 : 5e-6 * Math.max(...theirs.map(Math.abs));
  expect([name, maxDifference(ours, theirs) < bound]).toEqual([name, true]);
}

describe('the Mixer of examples/mixer.ts against plain PyTorch', () => {
  test('logits, loss and every gradient', () => {
    const { logits, loss, gradients } = step();
    expect(maxDifference(logits, expected('logits'))).toBeLessThan(1e-6);
    expect(Math.abs(loss / expected('loss')[0] - 1)).toBeLessThan(1e-6);
    const names = [...reference.keys()].filter((name) => name.startsWith('gradient.'));
    expect(names.map((name) => name.replace('gradient.', '')).sort()).toEqual([...gradients.keys()].sort());
    for (const [name, ours] of gradients) expectGradient(name, ours as number[]);
  });

  test.each([0, 1])('of a hybrid with module %i the same gradients, and no others', (index) => {
    const { logits, gradients } = step(hybridRegimes(DEPTHS.length, index));
    expect(maxDifference(logits, expected('logits'))).toBeLessThan(1e-6);
    const isOwn = (name: string) =>
      (index === 0 ? /^(proj|blocks\.[01])\./ : /^(blocks\.2|norm|head)\./).test(name);
    for (const [name, ours] of gradients) {
      if (isOwn(name)) expectGradient(name, ours ?? []);
      else expect([name, ours]).toEqual([name, undefined]);
    }
  });
});
