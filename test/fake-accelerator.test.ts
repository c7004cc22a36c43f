import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { autocast, backward } from '../src/torch/autograd.js';
import { useDevice } from '../src/torch/engine.js';
import { GpuError, OutOfMemoryError, TorchError } from '../src/torch/errors.js';
import { native } from '../src/torch/native.js';
import { add, matmul, ones, sum } from '../src/torch/ops.js';
import { scope } from '../src/torch/scope.js';

// Behaviour that only occurs on a device other than the CPU.

interface FakeAccelerator {
  take(): Record<string, number>;
  currentDevice(): number;
  limitMemory(bytes: number): void;
  breakDown(): void;
}

const DEVICE = 'fake:0';
let fake: FakeAccelerator;
beforeAll(() => {
  native.engine();
  const addon = new URL('fake-accelerator/build/fake_accelerator.node', import.meta.url);
  fake = createRequire(import.meta.url)(fileURLToPath(addon));
});
afterEach(() => {
  useDevice(DEVICE);
  fake.limitMemory(Number.MAX_SAFE_INTEGER);
});

function errorOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

test('a device becomes the thread’s current device, except the CPU', () => {
  expect(fake.currentDevice()).toBe(0);
  useDevice('fake:1');
  expect(fake.currentDevice()).toBe(1);
  useDevice('cpu');
  expect(fake.currentDevice()).toBe(1);
});

test('kernels, copies and reads are counted', () =>
  scope(() => {
    const x = ones([2, 2], 'F32', DEVICE);
    fake.take();
    expect(sum(matmul(x, x)).item()).toBe(8);
    const counts = fake.take();
    expect(counts).toMatchObject({ 'kernel aten::mm': 1, 'scalar read': 1 });
    x.toFloat32Array();
    expect(fake.take()).toEqual({ 'blocking copy from the device': 1 });
  }));

test.each([
  ['add', add],
  ['matmul', matmul],
])('%s of a tensor of the device and one of the CPU is refused', (_, operator) =>
  scope(() => {
    const error = errorOf(() => operator(ones([2, 2], 'F32', DEVICE), ones([2, 2])));
    expect(error).toBeInstanceOf(TorchError);
    expect(String(error)).toMatch(/expected all tensors (to be )?on the (same )?device/i);
  }),
);

test('autocast multiplies in bfloat16, forward and backward', () =>
  scope(() => {
    const x = ones([2, 2], 'F32', DEVICE);
    x.requiresGrad = true;
    const y = autocast(DEVICE, 'BF16', () => matmul(x, x));
    expect(y.dtype).toBe('BF16');
    backward(sum(y));
    expect(x.grad?.toFloat32Array()).toEqual(Float32Array.of(4, 4, 4, 4));
  }));

test('out of memory: a separate error, and work continues', () =>
  scope(() => {
    fake.limitMemory(1 << 20);
    const error = errorOf(() => ones([1024, 1024], 'F32', 'fake:1'));
    expect(error).toBeInstanceOf(OutOfMemoryError);
    expect(String(error)).toMatch(/GPU 1 is out of memory: 4\.00 MiB needed, [\d.]+ MiB of 1\.00 MiB free/);
    expect(ones([2], 'F32', DEVICE).toFloat32Array()).toEqual(Float32Array.of(1, 1));
  }));

// Must be the last test, because the device cannot be used afterwards.
test('a GPU that failed: a separate error, at every later call', () =>
  scope(() => {
    const x = ones([2, 2], 'F32', DEVICE);
    fake.breakDown();
    for (const work of [() => matmul(x, x), () => x.toFloat32Array(), () => sum(x).item()]) {
      const error = errorOf(work);
      expect(error).toBeInstanceOf(GpuError);
      expect(String(error)).toContain('CUDA error: an illegal memory access was encountered');
    }
  }));
