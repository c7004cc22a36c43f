import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { InputError, RunError } from '../../base/errors.js';
import { noGrad } from '../../torch/autograd.js';
import { tensorOperator } from '../../torch/operator.js';
import {
  add,
  concat,
  linear,
  logSoftmax,
  matmul,
  mul,
  slice,
  sub,
  sum,
  to,
  transpose,
  zeros,
} from '../../torch/ops.js';
import { keep, scope } from '../../torch/scope.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { type FeatureRows, rowRanges } from './feature-rows.js';
import { type Evaluated, lbfgs } from './lbfgs.js';

const gather = tensorOperator('aten::gather');
const scatterAdd = tensorOperator('aten::scatter_add');
const sumAlong = tensorOperator('aten::sum', 'dim_IntList');
const exp = tensorOperator('aten::exp');
const cholesky = tensorOperator('aten::linalg_cholesky');
const solveTriangular = tensorOperator('aten::linalg_solve_triangular');
const onesLike = tensorOperator('aten::ones_like');
const diagonal = tensorOperator('aten::diagonal');

export interface LogisticRegressionOptions {
  /** Inverse strength of the L2 penalty, as in scikit-learn and CLIP's linear probe. Default 1. */
  readonly c?: number;
  /** Largest distance of the coefficients (Euclidean norm) from the optimum. Default 1e-7. */
  readonly tolerance?: number;
  /** Default 1000. */
  readonly maxIterations?: number;
  /** Default cpu. */
  readonly device?: string;
  /** Called after each pass over the rows. */
  readonly onPass?: () => void;
}

/** A linear classifier of features. */
export interface LinearProbe {
  /** The labels of its classes, ascending: those that occur in the training rows. */
  readonly labels: Int32Array;
  /** [classes, D]. */
  readonly weight: Float64Array;
  /** [classes]. */
  readonly bias: Float64Array;
  readonly iterations: number;
  /** Whether the tolerance was reached. */
  readonly isConverged: boolean;
}

/** Rows that are computed at a time, which bounds the memory. */
const ROWS = 4096;

/**
 * Multinomial logistic regression with an L2 penalty and an intercept, in float64. Minimises the objective of scikit-learn's
 * `LogisticRegression(C=c)`: C times the sum of the losses, plus half the squared norm of the coefficients; of two classes, the
 * coefficients are the difference between both rows, as there.
 *
 * Rows are read again in each pass. L-BFGS runs in coordinates in which the Hessian at zero is the identity. This does not change
 * the optimum, and takes tens of iterations instead of thousands.
 *
 * @throws InputError if the rows have fewer than two classes
 * @throws RunError if features are not finite
 */
export async function fitLogisticRegression(
  rows: FeatureRows,
  options: LogisticRegressionOptions = {},
): Promise<LinearProbe> {
  const { c = 1, tolerance = 1e-7, maxIterations = 1000, device = 'cpu', onPass = () => {} } = options;
  const labels = Int32Array.from(new Set(rows.labels)).sort();
  const classes = labels.length;
  if (classes < 2) {
    throw new InputError('a linear probe needs training images of at least two classes', {
      hint: 'use a training part with more classes',
    });
  }
  // Of two classes, the norm of the difference between both rows is penalised: twice the sum of their squares.
  const penalty = (classes === 2 ? 2 : 1) / (c * rows.count);
  const { center, factor } = await whitening(rows, { classes, penalty, device });
  onPass();
  const targets = indicesIn(rows.labels, labels);
  const objective = { rows, targets, classes, penalty, center, factor, device };
  const minimum = await lbfgs(zeros([rows.width + 1, classes], 'F64', device), {
    evaluate: async (x) => {
      const evaluated = await evaluate(x, objective);
      onPass();
      return evaluated;
    },
    // The objective is strongly convex with modulus `penalty`: the distance is at most the norm of the gradient divided by it.
    tolerance: tolerance * penalty,
    maxIterations,
  });
  const { iterations, isConverged } = minimum;
  const [weight, bias] = scope(() => coefficients(minimum.x, objective));
  for (const tensor of [minimum.x, center, factor]) tensor.free();
  return { labels, weight, bias, iterations, isConverged };
}

/** The logits of rows [N, D]: [N, classes]. */
export function probeLogits(
  { weight, bias, labels: { length: classes } }: LinearProbe,
  features: Float32Array,
  device = 'cpu',
): Float64Array {
  return scope(() =>
    noGrad(() => {
      const width = weight.length / classes;
      const x = to(fromArray(features, [features.length / width, width], device), { dtype: 'F64' });
      return linear(
        x,
        fromArray(weight, [classes, width], device),
        fromArray(bias, [classes], device),
      ).toFloat64Array();
    }),
  );
}

interface Whitening {
  /** The mean of the rows: [1, D]. */
  readonly center: Tensor;
  /** Lower triangular [D, D]: the Cholesky factor of the Hessian of one class at zero. */
  readonly factor: Tensor;
}

interface Objective extends Whitening {
  readonly rows: FeatureRows;
  /** [N]: index of the class of each row. */
  readonly targets: BigInt64Array;
  readonly classes: number;
  readonly penalty: number;
  readonly device: string;
}

async function whitening(
  rows: FeatureRows,
  { classes, penalty, device }: Pick<Objective, 'classes' | 'penalty' | 'device'>,
): Promise<Whitening> {
  const { count, width } = rows;
  const center = await accumulated(rows, device, [1, width], (x) => sumAlong(x, [0], true));
  const mean = scope(() => keep(mul(center, 1 / count)));
  requireFinite(scope(() => sum(mean).item()));
  const products = await accumulated(rows, device, [width, width], (x) => {
    const centred = sub(x, mean);
    return matmul(transpose(centred, 0, 1), centred);
  });
  const factor = scope(() => {
    const hessian = mul(products, 1 / (count * classes));
    // The trace keeps the factorisation possible if features depend on each other and the penalty is tiny.
    const jitter = (1e-12 * sum(diagonal(hessian)).item()) / width;
    return keep(cholesky(add(hessian, identity(width, penalty + jitter, device))));
  });
  center.free();
  products.free();
  return { center: mean, factor };
}

/** The sum over all rows of a value of this shape, from [B, D] in F64. */
async function accumulated(
  rows: FeatureRows,
  device: string,
  shape: readonly number[],
  termOf: (x: Tensor, from: number, end: number) => Tensor,
): Promise<Tensor> {
  let total = scope(() => keep(zeros(shape, 'F64', device)));
  for (const [from, end] of rowRanges(rows.count, ROWS)) {
    // Otherwise no signals would be handled until the end.
    await eventLoopTurn();
    const before = total;
    total = scope(() =>
      noGrad(() => {
        const x = to(fromArray(rows.read(from, end), [end - from, rows.width], device), { dtype: 'F64' });
        return keep(add(before, termOf(x, from, end)));
      }),
    );
    before.free();
  }
  return total;
}

/** The mean loss with the penalty, and its gradient, at [D + 1, classes]: whitened coefficients, and intercepts in the last row. */
async function evaluate(at: Tensor, objective: Objective): Promise<Evaluated> {
  const { rows, targets, classes, penalty, center, factor, device } = objective;
  const { count, width } = rows;
  const { weight, bias } = scope(() => {
    const { weight, bias } = unwhitened(at, objective);
    return { weight: keep(weight), bias: keep(bias) };
  });
  // The losses are summed in an extra row of the gradient, so that one pass computes both.
  const totals = await accumulated(rows, device, [width + 2, classes], (x, from, end) => {
    const centred = sub(x, center);
    const logs = logSoftmax(add(matmul(centred, weight), bias), 1);
    const index = fromArray(targets.subarray(from, end), [end - from, 1], device);
    const chosen = gather(logs, 1, index);
    const minusOne = mul(onesLike(chosen), -1);
    const errors = scatterAdd(exp(logs), 1, index, minusOne);
    const loss = mul(onesLike(slice(errors, 0, 0, 1)), -sum(chosen).item() / classes);
    return concat([matmul(transpose(centred, 0, 1), errors), sumAlong(errors, [0], true), loss], 0);
  });
  const result = scope(() => {
    const sums = mul(totals, 1 / count);
    const loss = sum(slice(sums, 0, width + 1)).item();
    const byWeight = add(slice(sums, 0, 0, width), mul(weight, penalty));
    const byBias = slice(sums, 0, width, width + 1);
    const squares = sum(mul(byWeight, byWeight)).item() + sum(mul(byBias, byBias)).item();
    const whitened = solveTriangular(factor, byWeight, false);
    return {
      value: loss + (penalty / 2) * sum(mul(weight, weight)).item(),
      norm: Math.sqrt(squares),
      gradient: keep(concat([whitened, mul(byBias, Math.sqrt(classes))], 0)),
    };
  });
  for (const tensor of [totals, weight, bias]) tensor.free();
  requireFinite(result.value);
  return result;
}

function requireFinite(value: number): void {
  if (Number.isFinite(value)) return;
  throw new RunError('features of the images are not finite', {
    hint: 'the training of the model may have diverged; with bfloat16, try float32',
  });
}

/** weight [D, classes]; bias [1, classes], of centred rows. */
function unwhitened(at: Tensor, { rows: { width }, factor, classes }: Objective) {
  return {
    weight: solveTriangular(transpose(factor, 0, 1), slice(at, 0, 0, width), true),
    bias: mul(slice(at, 0, width), Math.sqrt(classes)),
  };
}

function coefficients(at: Tensor, objective: Objective): [weight: Float64Array, bias: Float64Array] {
  const { weight, bias } = unwhitened(at, objective);
  const own = sub(bias, matmul(objective.center, weight));
  return [transpose(weight, 0, 1).toFloat64Array(), own.toFloat64Array()];
}

function identity(size: number, value: number, device: string): Tensor {
  const elements = new Float64Array(size * size);
  for (let i = 0; i < size; i++) elements[i * size + i] = value;
  return fromArray(elements, [size, size], device);
}

function indicesIn(all: Int32Array, labels: Int32Array): BigInt64Array {
  const indices = new Map(Array.from(labels, (label, i) => [label, BigInt(i)]));
  return BigInt64Array.from(all, (label) => indices.get(label) ?? 0n);
}
