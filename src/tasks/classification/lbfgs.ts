import { add, mul, sub, sum } from '../../torch/ops.js';
import { keep, scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';

/** A value and its gradient at a point. */
export interface Evaluated {
  readonly value: number;
  readonly gradient: Tensor;
  /** What is compared with the tolerance. */
  readonly norm: number;
}

export interface LbfgsOptions {
  /** The objective. Its tensors belong to the caller's scope, or are kept. */
  readonly evaluate: (x: Tensor) => Promise<Evaluated>;
  /** Stops if `norm` is at most this. */
  readonly tolerance: number;
  readonly maxIterations: number;
}

export interface Minimum {
  readonly x: Tensor;
  readonly iterations: number;
  readonly norm: number;
  readonly isConverged: boolean;
}

interface Step {
  readonly change: Tensor;
  readonly gradientChange: Tensor;
  /** 1 / (change . gradientChange). */
  readonly rho: number;
}

const MEMORY = 10;
const SUFFICIENT_DECREASE = 1e-4;
/** A step this short changes nothing in float64. */
const SHORTEST = 1e-12;

/**
 * Minimises a smooth convex function by L-BFGS with backtracking (Nocedal and Wright, algorithms 7.4, 7.5 and 3.1).
 * @param start freed
 */
export async function lbfgs(start: Tensor, options: LbfgsOptions): Promise<Minimum> {
  const { evaluate, tolerance, maxIterations } = options;
  const memory: Step[] = [];
  let x = start;
  let here = await evaluate(x);
  let iterations = 0;
  while (here.norm > tolerance && iterations < maxIterations) {
    const direction = scope(() => keep(descent(here.gradient, memory)));
    const next = await lineSearch(x, here, direction, evaluate);
    direction.free();
    if (next === undefined) break;
    remember(memory, x, here, next);
    x.free();
    here.gradient.free();
    ({ x, here } = next);
    iterations++;
  }
  here.gradient.free();
  for (const step of memory) freeStep(step);
  return { x, iterations, norm: here.norm, isConverged: here.norm <= tolerance };
}

interface Point {
  readonly x: Tensor;
  readonly here: Evaluated;
}

/** Minus the approximate inverse Hessian times the gradient. */
function descent(gradient: Tensor, memory: readonly Step[]): Tensor {
  let q = gradient;
  const alphas: number[] = [];
  for (const { change, gradientChange, rho } of memory.toReversed()) {
    const alpha = rho * dot(change, q);
    alphas.unshift(alpha);
    q = sub(q, mul(gradientChange, alpha));
  }
  const last = memory.at(-1);
  if (last !== undefined) q = mul(q, 1 / (last.rho * dot(last.gradientChange, last.gradientChange)));
  for (const [i, { change, gradientChange, rho }] of memory.entries()) {
    q = add(q, mul(change, alphas[i] - rho * dot(gradientChange, q)));
  }
  return mul(q, -1);
}

/** The first of the steps 1, 1/2, 1/4 ... with a sufficient decrease; undefined if rounding errors hide every decrease. */
async function lineSearch(
  x: Tensor,
  here: Evaluated,
  direction: Tensor,
  evaluate: LbfgsOptions['evaluate'],
): Promise<Point | undefined> {
  const slope = scope(() => dot(here.gradient, direction));
  if (!(slope < 0)) return undefined;
  for (let size = 1; size > SHORTEST; size /= 2) {
    const next = scope(() => keep(add(x, mul(direction, size))));
    const there = await evaluate(next);
    const rounding = 4 * Number.EPSILON * Math.abs(here.value);
    const isLower = there.value <= here.value + SUFFICIENT_DECREASE * size * slope;
    // Near the minimum the decrease is below the rounding error of the value; the gradient is still exact enough.
    const isFlat = there.value <= here.value + rounding && there.norm < here.norm;
    if (isLower || isFlat) return { x: next, here: there };
    next.free();
    there.gradient.free();
  }
  return undefined;
}

function remember(memory: Step[], x: Tensor, here: Evaluated, next: Point): void {
  const change = scope(() => keep(sub(next.x, x)));
  const gradientChange = scope(() => keep(sub(next.here.gradient, here.gradient)));
  const curvature = scope(() => dot(change, gradientChange));
  const step = { change, gradientChange, rho: 1 / curvature };
  if (!(curvature > 0)) {
    freeStep(step);
    return;
  }
  memory.push(step);
  const oldest = memory.length > MEMORY ? memory.shift() : undefined;
  if (oldest !== undefined) freeStep(oldest);
}

function freeStep({ change, gradientChange }: Step): void {
  change.free();
  gradientChange.free();
}

const dot = (a: Tensor, b: Tensor): number => sum(mul(a, b)).item();
