import { DeepIncubationError, errorText } from '../base/errors.js';

/**
 * libtorch refused a call: names the operator and its operands' dtypes and shapes.
 *
 * @example
 * try {
 *   matmul(ones([2, 3]), ones([2, 3]));
 * } catch (error) {
 *   if (!(error instanceof TorchError)) throw error;
 *   console.log(error.message); // aten::matmul(F32[2, 3], F32[2, 3]): mat1 and mat2 shapes ...
 * }
 */
export class TorchError extends DeepIncubationError {}

/**
 * A tensor was used after it was freed, by `free()` or by the end of its scope.
 *
 * @example
 * const x = ones([2]);
 * x.free();
 * try {
 *   mul(x, 2);
 * } catch (error) {
 *   console.log(error instanceof FreedTensorError); // true
 * }
 */
export class FreedTensorError extends DeepIncubationError {}

/**
 * The error of a failed call as the product's own, with the call in front.
 * @param call e.g. `aten::mm(F32[2, 3], F32[2, 3])`
 */
export function failedCall(call: string, error: unknown): TorchError | FreedTensorError {
  const said = errorText(error).split('\n', 1)[0];
  if (error instanceof FreedTensorError)
    return new FreedTensorError(`${call}: ${said}`, { hint: error.hint, cause: error });
  // What libtorch says of these goes on for a page of what it might have been built with.
  if (/from the 'CUDA' backend|not linked with support for cuda/.test(said)) {
    const hint = 'use the device cpu, or a CUDA build of libtorch: see `deep-incubation doctor`';
    return new TorchError(`${call}: this libtorch is built without CUDA`, { hint, cause: error });
  }
  const hint = /at start of device string|Invalid device string/.test(said)
    ? 'a device is cpu, cuda, or cuda:1, the second GPU'
    : undefined;
  return new TorchError(`${call}: ${said}`, { hint, cause: error });
}
