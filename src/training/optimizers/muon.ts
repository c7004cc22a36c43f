import { InputError } from '../../base/errors.js';
import { tensorOperator } from '../../torch/operator.js';
import { divide, lerp as lerped, matmul, to, transpose } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';
import { type AdamWOptions, adamwRule } from './adamw.js';
import { addEach, lerpEach, scale } from './foreach.js';
import { blockOf } from './layer-decay.js';
import { combined, type Optimizer, type ParameterGroup, type Rule } from './optimizer.js';

/** `betas` and `eps` are those of AdamW, for all parameters that are not hidden matrices. */
export interface MuonOptions extends AdamWOptions {
  /** Default 0.95. */
  readonly momentum?: number;
  /** Default true. */
  readonly nesterov?: boolean;
  /**
   * Factor of the learning rate for a matrix [m, n]. `original`: sqrt(max(1, m / n)). `match_rms_adamw`: 0.2 sqrt(max(m, n)),
   * so that updates have the size of AdamW's and both can have the same learning rate. Default `original`, as in torch.
   */
  readonly adjustLr?: 'original' | 'match_rms_adamw';
  /** Factor of the learning rate of the hidden matrices, in addition to `adjustLr`; also for their decay. Default 1. */
  readonly matrixLrScale?: number;
  /** Of the Newton-Schulz steps. Default bfloat16, as in torch. */
  readonly precision?: 'bfloat16' | 'float32';
}

/**
 * Muon (Jordan 2024, in the form of torch.optim.Muon) for hidden matrices: the two-dimensional parameters of the blocks, other
 * than biases. AdamW for all others: embeddings, tokens, convolutions, vectors and the head.
 * m = lerp(m, g, 1 - momentum); u = lerp(g, m, momentum) with Nesterov, else m; p *= 1 - lr wd;
 * p -= lr factor orthogonalised(u).
 * Joined matrices, such as query, key and value in [3 D, D], are one matrix.
 *
 * @throws InputError if no parameter is a hidden matrix
 *
 * @example
 * const weights = { 'blocks.0.fc.weight': ones([8, 4]), 'head.weight': ones([2, 8]) };
 * const groups = decayGroups(Object.entries(weights), 0.05);
 * const optimizer = muon(groups, { adjustLr: 'match_rms_adamw' }); // blocks.0.fc.weight by Muon, head.weight by AdamW
 * optimizer.free();
 */
export function muon(groups: readonly ParameterGroup[], options: MuonOptions = {}): Optimizer {
  requireHiddenMatrices(groups, 'muon');
  return muonOfShare(groups, options);
}

/** `muon` for parameters that may have no hidden matrix, such as one process's share of a model's. */
export function muonOfShare(groups: readonly ParameterGroup[], options: MuonOptions = {}): Optimizer {
  const { matrixLrScale = 1 } = options;
  const matrices = groupsWhere(groups, isHiddenMatrix).map((group) => ({
    ...group,
    lrScale: (group.lrScale ?? 1) * matrixLrScale,
  }));
  const others = groupsWhere(groups, (...named) => !isHiddenMatrix(...named));
  return combined([
    { groups: matrices, rule: muonRule(options) },
    { groups: others, rule: adamwRule(options) },
  ]);
}

/** @throws InputError if no parameter is a hidden matrix */
export function requireHiddenMatrices(groups: readonly ParameterGroup[], where: string): void {
  if (groupsWhere(groups, isHiddenMatrix).some(({ parameters }) => parameters.length > 0)) return;
  throw noHiddenMatrix(where);
}

/** The error of a phase or a call that trains no matrix that Muon could update. */
export function noHiddenMatrix(where: string): InputError {
  return new InputError(`${where}: no two-dimensional weight of a block is trained, and muon is for these`, {
    hint: 'use adamw or sgd: convolutions, embeddings, vectors and the head are not updated by muon',
  });
}

function isHiddenMatrix(name: string, { shape }: Tensor): boolean {
  return shape.length === 2 && blockOf(name) !== undefined && !name.endsWith('.bias');
}

function groupsWhere(groups: readonly ParameterGroup[], isIn: typeof isHiddenMatrix): ParameterGroup[] {
  return groups.map((group) => ({
    ...group,
    parameters: group.parameters.filter(([name, parameter]) => isIn(name, parameter)),
  }));
}

function muonRule(options: MuonOptions): Rule {
  const { momentum = 0.95, nesterov = true, adjustLr = 'original', precision = 'bfloat16' } = options;
  const dtype = precision === 'bfloat16' ? 'BF16' : 'F32';
  return {
    slots: ['momentum_buffer'],
    update(all) {
      for (const { parameters, gradients, slots, lr, weightDecay } of all) {
        const [buffers] = slots;
        lerpEach(buffers, gradients, 1 - momentum);
        if (weightDecay !== 0) scale(parameters, 1 - lr * weightDecay);
        for (const [i, parameter] of parameters.entries()) {
          // One matrix at a time: copies of all matrices would need as much memory as the gradients.
          scope(() => {
            const direction = nesterov ? lerped(gradients[i], buffers[i], momentum) : buffers[i];
            addEach([parameter], [orthogonalised(direction, dtype)], -lr * factorOf(adjustLr, parameter));
          });
        }
      }
    },
  };
}

function factorOf(adjustLr: NonNullable<MuonOptions['adjustLr']>, { shape: [m, n] }: Tensor): number {
  return adjustLr === 'original' ? Math.sqrt(Math.max(1, m / n)) : 0.2 * Math.sqrt(Math.max(m, n));
}

const addProduct = tensorOperator('aten::addmm');
const norm = tensorOperator('aten::linalg_vector_norm');
const atLeast = tensorOperator('aten::clamp_min');

/** Of x -> a x + b (x x^T) x + c (x x^T)^2 x, chosen for a steep slope at 0 (Jordan 2024). */
const [A, B, C] = [3.4445, -4.775, 2.0315];
const STEPS = 5;
const EPS = 1e-7;

/**
 * Moves all singular values of a matrix close to 1: for U S V^T, about U V^T. Five Newton-Schulz steps, with the operators of
 * torch.optim.Muon; singular values end between about 0.7 and 1.2.
 * @param matrix [m, n]
 * @param dtype of the computation and the result; torch.optim.Muon has BF16
 */
export function orthogonalised(matrix: Tensor, dtype: 'BF16' | 'F32'): Tensor {
  return scope(() => {
    const [rows, columns] = matrix.shape;
    // The products x x^T are smaller if x is wide.
    const turned = (x: Tensor) => (rows > columns ? transpose(x, 0, 1) : x);
    const start = turned(to(matrix, { dtype }));
    let x = divide(start, atLeast(norm(start), EPS));
    for (let step = 0; step < STEPS; step++) {
      x = scope(() => {
        const gram = matmul(x, transpose(x, 0, 1));
        return addProduct(x, addProduct(gram, gram, gram, B, C), x, A, 1);
      });
    }
    return turned(x);
  });
}
