import { expect, test } from 'vitest';
import { type Pass, type Stage, StagedModel } from '../models/staged.js';
import { add } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { fromArray, type Tensor } from '../torch/tensor.js';
import { hybridRegimes } from './hybrid.js';
import { sharedPrefix } from './shared-prefix.js';

/** Adds its number, and notes that it ran. */
function stages(ran: string[], hybrid: number): Stage[] {
  return [1, 10, 100].map(
    (number, i) =>
      ({
        setTrainable() {},
        forward(x: Tensor, { key }: Pass) {
          ran.push(`${hybrid}:${i}@${key.join('.')}`);
          return add(x, fromArray(Float32Array.of(number), [1]));
        },
      }) as unknown as Stage,
  );
}

test('each leading stage runs once for each micro-batch', () => {
  const ran: string[] = [];
  const shared = sharedPrefix();
  const hybrids = [0, 1, 2].map((i) => shared.of(new StagedModel(stages(ran, i), hybridRegimes(3, i))));
  const generator = new Generator();
  const forward = (key: number, input: number) =>
    hybrids.map((model) =>
      scope(() => {
        const x = fromArray(Float32Array.of(input), [1]);
        return model.forward(x, { training: true, generator, key: [key] }).item();
      }),
    );
  expect(forward(5, 1)).toEqual([112, 112, 112]);
  // Hybrid 1 computes stage 0 for itself and for hybrid 2, which computes stage 1.
  expect(ran).toEqual([
    '0:0@5.0',
    '0:1@5.1',
    '0:2@5.2',
    '1:0@5.0',
    '1:1@5.1',
    '1:2@5.2',
    '2:1@5.1',
    '2:2@5.2',
  ]);
  ran.length = 0;
  expect(forward(6, 2)).toEqual([113, 113, 113]);
  expect(ran.filter((line) => line.startsWith('1:0'))).toHaveLength(1);
  shared.free();
});
