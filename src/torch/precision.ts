import { autocast } from './autograd.js';
import { native } from './native.js';

/**
 * Precision of matrix products and convolutions. Weights, gradients and the optimiser's state are float32 in all of them.
 * - `float32`: full float32, also on a GPU.
 * - `tf32`: float32 with TF32 tensor cores on NVIDIA GPUs from Ampere on (10 bits of mantissa). On the CPU: float32.
 * - `bfloat16`: autocast.
 */
export type Precision = 'float32' | 'tf32' | 'bfloat16';

/**
 * The precision that `training.precision` means on a device. `auto` is bfloat16 on a GPU that computes in it natively (NVIDIA
 * from Ampere on), and float32 otherwise.
 *
 * @param isNative whether the device computes in bfloat16 natively
 *
 * @example
 * precisionOn('cpu', 'auto'); // 'float32'
 */
export function precisionOn(
  device: string,
  wish: Precision | 'auto',
  isNative: (device: string) => boolean = hasNativeBfloat16,
): Precision {
  if (wish !== 'auto') return wish;
  return device.startsWith('cuda') && isNative(device) ? 'bfloat16' : 'float32';
}

/** Whether a GPU computes in bfloat16 natively. The device must be the current one: see `useDevice`. */
export function hasNativeBfloat16(device: string): boolean {
  return device.startsWith('cuda') && native.hasNativeBfloat16();
}

/**
 * Runs a forward pass in a precision. On a GPU, TF32 stays switched on or off for the backward pass that follows: libtorch has
 * one switch for the process, and it is set before each forward pass.
 */
export function inPrecision<T>(precision: Precision, device: string, work: () => T): T {
  if (device !== 'cpu') native.setTf32(precision === 'tf32');
  return precision === 'bfloat16' ? autocast(device, 'BF16', work) : work();
}
