import { tensorOperator } from '../../torch/operator.js';
import { divide, matmul, to, transpose } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';

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
