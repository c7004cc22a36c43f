import { execFileSync } from 'node:child_process';
import { beforeAll, describe, expect, test } from 'vitest';
import { needs, pythonPath, pythonTorch } from '../../../test/needs.js';
import { parameterOf, setGradient } from '../../../test/optimizer-support.js';
import { maxDifference, numbers } from '../../../test/support.js';
import { DEVICE } from '../../../test/test-device.js';
import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import { elementCount } from '../../base/tensor-data.js';
import { matmul, transpose } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { adamw } from './adamw.js';
import { type MuonOptions, muon, orthogonalised } from './muon.js';
import type { Optimizer } from './optimizer.js';

/** Wide, tall and square matrices of blocks; the last starts at zero, and its first gradient is zero. */
const MATRICES = {
  'stages.0.blocks.0.attn.qkv.weight': [72, 24],
  'stages.0.blocks.0.attn.proj.weight': [24, 24],
  'blocks.1.mlp.fc1.weight': [5, 40],
  'blocks.1.mlp.fc2.weight': [3, 4],
};
const OTHERS = {
  'stages.0.pos_embed': [1, 4, 6],
  'stages.0.patch_embed.proj.weight': [6, 3, 2, 2],
  'stages.0.patch_embed.linear.weight': [6, 4],
  'stages.0.blocks.0.norm1.weight': [24],
  'blocks.1.mlp.fc1.bias': [5],
  'stages.3.head.weight': [3, 24],
};
const SHAPES: Readonly<Record<string, number[]>> = { ...MATRICES, ...OTHERS };
const ZERO = 'blocks.1.mlp.fc2.weight';
const LRS = [0.02, 0.01, 0.05, 0.03];

const names = Object.keys(SHAPES);
const groups = [
  { names: names.filter((_, i) => i % 3 === 0), weightDecay: 0.1, lrScale: 1 },
  { names: names.filter((_, i) => i % 3 === 1), weightDecay: 0, lrScale: 0.5 },
  { names: names.filter((_, i) => i % 3 === 2), weightDecay: 0.3, lrScale: 0.25 },
];

/** Numbers that float32 can represent, spread around 0. */
function noise(size: number, seed: number): Float32Array {
  const stream = randomStream(['muon', seed]);
  return Float32Array.from({ length: size }, () => 2 * stream.uniform() - 1);
}

const valuesOf = (seed: number, step?: number) =>
  Object.fromEntries(
    names.map((name, i) => {
      const size = elementCount(SHAPES[name]);
      const isZero = name === ZERO && (step ?? 0) === 0;
      const scale = step === undefined ? 1 : 10 ** (i - 6);
      return [name, [...noise(size, seed + i)].map((x) => (isZero ? 0 : Math.fround(x * scale)))];
    }),
  );
const start = valuesOf(1);
const gradients = LRS.map((_, step) => valuesOf(100 * (step + 1), step));

type Dtype = 'F32' | 'F64';

function stepsOf(dtype: Dtype, options: MuonOptions) {
  const array = (values: number[]) =>
    dtype === 'F64' ? Float64Array.from(values) : Float32Array.from(values);
  const parameters = new Map(names.map((name) => [name, parameterOf(array(start[name]), SHAPES[name])]));
  const optimizer = muon(
    groups.map((group) => ({
      ...group,
      parameters: group.names.map((name) => [name, parameters.get(name) as Tensor] as const),
    })),
    options,
  );
  const steps = LRS.map((lr, step) => {
    for (const [name, parameter] of parameters) setGradient(parameter, gradients[step][name]);
    optimizer.step(lr);
    return new Map(Array.from(parameters, ([name, parameter]) => [name, numbers(parameter.toData())]));
  });
  const state = optimizer.state();
  optimizer.free();
  return { steps, state };
}

const ADAMW = { betas: [0.8, 0.95], eps: 1e-6 } as const;
const CASES: [string, Dtype, MuonOptions][] = [
  ['the defaults', 'F32', {}],
  ['the rate of AdamW', 'F32', { adjustLr: 'match_rms_adamw' }],
  ['without Nesterov, with a scale', 'F32', { nesterov: false, momentum: 0.8, matrixLrScale: 3 }],
  ['Newton-Schulz steps in float32', 'F32', { precision: 'float32', adjustLr: 'original' }],
  ['float64 weights', 'F64', { adjustLr: 'match_rms_adamw' }],
];

/** Of each case, after each step. */
function referenceSteps(): Record<string, number[]>[][] {
  const torch = { momentum: 0.95, nesterov: true, adjustLr: null, matrixLrScale: 1, precision: 'bfloat16' };
  const cases = CASES.map(([, dtype, options]) => Object.assign({ dtype }, torch, options));
  const matrices = Object.keys(MATRICES);
  const input = JSON.stringify({ cases, matrices, shapes: SHAPES, groups, lrs: LRS, start, gradients });
  const output = execFileSync(pythonPath, ['test/fixtures/muon-steps.py'], {
    input,
    encoding: 'utf8',
    maxBuffer: 2 ** 25,
  });
  return JSON.parse(output);
}

describe('the weights of every step are those of torch.optim.Muon and AdamW', needs(pythonTorch), () => {
  let expected: Record<string, number[]>[][];
  beforeAll(() => {
    expected = referenceSteps();
  }, 600_000);

  test.each(CASES.map((each, i) => [...each, i] as const))('%s', (_, dtype, options, i) => {
    const { steps } = stepsOf(dtype, { ...ADAMW, ...options });
    for (const [step, weights] of steps.entries()) {
      for (const [name, values] of weights) {
        const difference = maxDifference(values, expected[i][step][name]);
        expect(difference, `${name} after step ${step + 1}`).toBeLessThan(1e-6);
      }
    }
  });
});

test('Newton-Schulz steps in bfloat16 and float32 differ by the rounding of bfloat16', () => {
  const [low, high] = (['bfloat16', 'float32'] as const).map(
    (precision) => stepsOf('F32', { precision }).steps,
  );
  const differences = Object.keys(MATRICES).map((name) =>
    maxDifference(low[0].get(name) as number[], high[0].get(name) as number[]),
  );
  expect(Math.max(...differences)).toBeGreaterThan(0);
  // The largest element of an update is 0.02 sqrt(72 / 24) at most.
  expect(Math.max(...differences)).toBeLessThan(0.1 * 0.02 * Math.sqrt(3));
});

test('the state is a momentum for each matrix, and two averages for every other parameter', () => {
  const { state } = stepsOf('F32', {});
  expect([...state.keys()].sort()).toEqual(
    [
      ...Object.keys(MATRICES).map((name) => `momentum_buffer.${name}`),
      ...Object.keys(OTHERS).flatMap((name) => [`exp_avg.${name}`, `exp_avg_sq.${name}`]),
      'step',
    ].sort(),
  );
});

describe('orthogonalised', () => {
  test.each([
    [20, 5],
    [5, 20],
    [8, 8],
  ])('[%i, %i]: all singular values come close to 1', (rows, columns) => {
    // x x^T, or x^T x, has their squares as eigenvalues: the trace is their sum, and of the square, the sum of their squares.
    const [sum, squares] = scope(() => {
      const x = orthogonalised(
        fromArray(Float32Array.from(noise(rows * columns, 3)), [rows, columns], DEVICE),
        'F32',
      );
      const y = transpose(x, 0, 1);
      const gram = rows > columns ? matmul(y, x) : matmul(x, y);
      const trace = (matrix: Tensor) =>
        matrix
          .toFloat32Array()
          .reduce((total, value, i) => (i % (matrix.shape[0] + 1) ? total : total + value), 0);
      return [trace(gram), trace(matmul(gram, gram))];
    });
    const least = Math.min(rows, columns);
    const mean = sum / least;
    const deviation = Math.sqrt(Math.max(0, squares / least - mean ** 2));
    expect(Math.abs(mean - 1)).toBeLessThan(0.4);
    expect(deviation).toBeLessThan(0.5);
  });

  test('a matrix of zeros stays one', () => {
    const zero = scope(() => orthogonalised(fromArray(new Float32Array(6), [2, 3], DEVICE), 'BF16').toData());
    expect(zero.data.every((byte) => byte === 0)).toBe(true);
  });
});

describe('a call without a hidden matrix', () => {
  const convolution = () => parameterOf(Float32Array.from(noise(24, 1)), [2, 3, 2, 2]);
  const matrix = () => parameterOf(Float32Array.from(noise(6, 1)), [2, 3]);

  test.each([
    ['a convolution of a block', 'stages.0.blocks.0.conv1.weight', convolution],
    ['the head', 'head.weight', matrix],
    ['a biases matrix of a block', 'blocks.0.table.bias', matrix],
  ])('%s is refused', (_, name, make) => {
    const call = (): Optimizer => muon([{ weightDecay: 0, parameters: [[name, make()]] }]);
    expect(call).toThrow(InputError);
    expect(call).toThrow('muon: no two-dimensional weight of a block is trained, and muon is for these');
  });

  test('beside a matrix, it is updated by AdamW', () => {
    const [hidden, head, other] = [matrix(), matrix(), matrix()];
    for (const parameter of [hidden, head, other]) setGradient(parameter, noise(6, 4));
    const groupOf = (named: Record<string, Tensor>) => [
      { weightDecay: 0.1, parameters: Object.entries(named) },
    ];
    muon(groupOf({ 'blocks.0.a.weight': hidden, 'head.weight': head })).step(0.1);
    adamw(groupOf({ 'head.weight': other })).step(0.1);
    expect(head.toData()).toEqual(other.toData());
    expect(hidden.toData()).not.toEqual(head.toData());
  });
});
