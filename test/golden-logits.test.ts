import { expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { assemble, type StageWeights } from '../src/method/assemble.js';
import { noGrad } from '../src/torch/autograd.js';
import { Generator } from '../src/torch/random.js';
import { scope } from '../src/torch/scope.js';
import { fromData } from '../src/torch/tensor.js';
import { goldenBlueprint, goldenStages, goldenTensors, maxDifference, numbers } from './support.js';

const batch = goldenTensors('b_batch16.safetensors');

function logits(stages: StageWeights[], depths: number[]): number[] {
  const generator = new Generator();
  const context = { device: 'cpu', dtype: 'F32', generator } as const;
  const model = assemble(goldenBlueprint, depths, stages, context);
  const images = batch.get('images') as TensorData;
  return scope(() =>
    noGrad(() =>
      Array.from(model.forward(fromData(images), { training: false, generator, key: [] }).toFloat32Array()),
    ),
  );
}

test.each([
  ['PT.pth', 'logits.PT', [1, 1, 1, 1]],
  ['MT_1.pth', 'logits.MT_1', [1, 2, 1, 1]],
  ['FT.pth', 'logits.FT', [2, 2, 2, 2]],
])('the logits of %s are the official ones', async (file, name, depths) => {
  const ours = logits(await goldenStages(`ckpt/${file}`), depths);
  const official = numbers(batch.get(name) as TensorData);
  expect(maxDifference(ours, official)).toBeLessThan(5e-6);
  for (let i = 0; i < 16; i++) {
    const argmax = (row: number[]) => row.indexOf(Math.max(...row));
    expect(argmax(ours.slice(10 * i, 10 * i + 10))).toBe(argmax(official.slice(10 * i, 10 * i + 10)));
  }
});
