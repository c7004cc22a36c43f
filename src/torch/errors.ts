import { DeepIncubationError, errorText, RunError } from '../base/errors.js';

/**
 * libtorch rejected a call. The message names the operator and its operands' dtypes and shapes.
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
 * The GPU or the machine is out of memory. The process can continue with smaller work.
 *
 * @example
 * const isMemory = (error: unknown) => error instanceof OutOfMemoryError;
 * isMemory(new OutOfMemoryError('GPU 0 is out of memory')); // true
 */
export class OutOfMemoryError extends RunError {}

/**
 * The GPU failed during an earlier call. CUDA rejects every later call of the process: only a new process
 * can continue.
 *
 * @example
 * const mustRestart = (error: unknown) => error instanceof GpuError;
 * mustRestart(new GpuError('CUDA error: unspecified launch failure')); // true
 */
export class GpuError extends RunError {}

/**
 * Converts the error of a failed call to one of this library's classes, and puts the call before the message.
 * @param call e.g. `aten::mm(F32[2, 3], F32[2, 3])`
 */
export function failedCall(call: string, error: unknown): DeepIncubationError {
  const text = errorText(error).split('\n', 1)[0];
  if (error instanceof FreedTensorError)
    return new FreedTensorError(`${call}: ${text}`, { hint: error.hint, cause: error });
  // libtorch's message for these is a page long, with all backends that it might have been built with.
  if (/from the 'CUDA' backend|not linked with support for cuda/.test(text)) {
    const hint = 'use the device cpu, or a CUDA build of libtorch: see `npx deep-incubation doctor`';
    return new TorchError(`${call}: this libtorch is built without CUDA`, { hint, cause: error });
  }
  const lack = lackOfMemory(text);
  if (lack !== undefined)
    return new OutOfMemoryError(`${call}: ${lack}`, { hint: LESS_MEMORY, cause: error });
  if (isBroken(text)) return new GpuError(`${call}: ${text}`, { hint: START_AGAIN, cause: error });
  const hint = /at start of device string|Invalid device string/.test(text)
    ? 'a device is cpu, cuda or cuda:<n>; cuda:1 is the second GPU'
    : undefined;
  return new TorchError(`${call}: ${text}`, { hint, cause: error });
}

const LESS_MEMORY =
  'lower training.batch_size (total_batch keeps the size of a step), set training.activation_checkpointing or ' +
  'precision bfloat16, or run fewer phases at a time (run.parallel)';
const START_AGAIN = 'start it again from the last checkpoint; `run` does so automatically';

/** A short text for libtorch's out-of-memory errors; undefined for other errors. */
function lackOfMemory(text: string): string | undefined {
  const cuda =
    /CUDA out of memory\. Tried to allocate ([\d.]+ \w+)\. GPU (\d+) has a total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free/.exec(
      text,
    );
  if (cuda !== null) {
    const [, wanted, gpu, total, free] = cuda;
    return `GPU ${gpu} is out of memory: ${wanted} needed, ${free} of ${total} free`;
  }
  const cpu = /DefaultCPUAllocator: can't allocate memory: you tried to allocate (\d+) bytes/.exec(text);
  if (cpu !== null) {
    return `the machine is out of memory: ${(Number(cpu[1]) / 2 ** 30).toFixed(2)} GiB needed`;
  }
  if (/std::bad_alloc/.test(text)) return 'the machine is out of memory';
  return /out of memory|STATUS_ALLOC_FAILED/.test(text) ? `the GPU is out of memory: ${text}` : undefined;
}

/** Whether a CUDA error makes the GPU unusable for this process; all other errors reject only one call. */
function isBroken(text: string): boolean {
  if (/\b(CUBLAS|CUDNN|CUSOLVER)\w*_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR)/.test(text))
    return true;
  return /CUDA (driver )?error: /.test(text) && !REFUSED.test(text);
}

/** Errors that would occur again in a new process. */
const REFUSED =
  /no kernel image|invalid device ordinal|driver version is insufficient|no CUDA-capable device|invalid.(argument|configuration|value|resource handle)|not.supported/i;
