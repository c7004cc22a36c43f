import { expect, test } from 'vitest';
import { RunError } from '../base/errors.js';
import { failedCall, GpuError, OutOfMemoryError, TorchError } from './errors.js';

const CALL = 'aten::mm(F32[2, 3], F32[3, 2])';
const OOM =
  'CUDA out of memory. Tried to allocate 20.00 GiB. GPU 1 has a total capacity of 79.10 GiB of which 5.44 GiB is free. Including non-PyTorch memory, this process has 73.60 GiB memory in use.';
const ADVICE = 'CUDA kernel errors might be asynchronously reported at some other API call.';

test.each([
  [OOM, 'GPU 1 is out of memory: 20.00 GiB needed, 5.44 GiB of 79.10 GiB free'],
  [`CUDA error: out of memory\n${ADVICE}`, 'the GPU is out of memory: CUDA error: out of memory'],
  [
    'CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`',
    'the GPU is out of memory: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`',
  ],
  [
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 3221225472 bytes. Error code 12 (Cannot allocate memory)",
    'the machine is out of memory: 3.00 GiB needed',
  ],
  ['std::bad_alloc', 'the machine is out of memory'],
])('memory: %s', (cause, message) => {
  const error = failedCall(CALL, new Error(cause));
  expect(error).toBeInstanceOf(OutOfMemoryError);
  expect(error).toBeInstanceOf(RunError);
  expect(error.message).toBe(`${CALL}: ${message}`);
  expect(error.hint).toContain('training.batch_size');
});

test.each([
  'CUDA error: an illegal memory access was encountered',
  'CUDA error: device-side assert triggered',
  'CUDA error: unspecified launch failure',
  'CUDA error: uncorrectable ECC error encountered',
  'CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle, ...)`',
  'cuDNN error: CUDNN_STATUS_EXECUTION_FAILED',
])('a GPU that failed: %s', (cause) => {
  const error = failedCall(CALL, new Error(`${cause}\n${ADVICE}`));
  expect(error).toBeInstanceOf(GpuError);
  expect(error).toBeInstanceOf(RunError);
  expect(error.message).toBe(`${CALL}: ${cause}`);
  expect(error.hint).toContain('from the last checkpoint');
});

test.each([
  'CUDA error: no kernel image is available for execution on the device',
  'CUDA error: invalid device ordinal',
  'CUDA error: invalid argument',
  'CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasLtMatmul(...)`',
  'mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)',
])('a refused call that leaves the GPU usable: %s', (cause) => {
  const error = failedCall(CALL, new Error(`${cause}\n${ADVICE}`));
  expect(error).toBeInstanceOf(TorchError);
  expect(error.message).toBe(`${CALL}: ${cause}`);
});
