// One of two processes that time an all-reduce between them. Prints the bytes per second and device, counted as for a ring.

import { fromArray } from '../../src/torch/tensor.js';
import { joinGroup } from '../../src/training/distributed/process-group.js';

const ELEMENTS = 7_000_000;
const ROUNDS = 9;

const group = joinGroup(process.env, { device: 'cpu' });
if (group === undefined) throw new RangeError('RANK and WORLD_SIZE are missing');
const gradients = fromArray(new Float32Array(ELEMENTS), [ELEMENTS]);
const seconds: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  group.barrier();
  const started = performance.now();
  group.allReduce([gradients], 'mean');
  seconds.push((performance.now() - started) / 1000);
}
const median = seconds.sort((a, b) => a - b)[ROUNDS >> 1];
if (group.rank === 0) console.log((2 * (group.size - 1) * 4 * ELEMENTS) / group.size / median);
group.barrier();
group.close();
