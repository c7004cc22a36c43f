import { InputError } from '../base/errors.js';
import { type EngineInfo, native } from './native.js';

/** Facts about the loaded libtorch, and what it found on this machine. */
export function engineInfo(): EngineInfo {
  return native.engine();
}

/** Sets the number of CPU threads that libtorch's operators use in this process. */
export function setThreads(threads: number): void {
  native.setThreads(threads);
}

/**
 * Resolves a recipe's `run.device` on this machine: `auto` is the first GPU, or the CPU if there is none.
 * @throws InputError if the device does not exist
 */
export function resolveDevice(wish: string): string {
  return wish === 'cpu' ? wish : deviceAmong(wish, native.engine().cudaDevices);
}

/**
 * `resolveDevice` for a known number of GPUs.
 * @throws InputError if the device is not among them
 */
export function deviceAmong(wish: string, cudaDevices: number): string {
  if (wish === 'auto') return cudaDevices > 0 ? 'cuda:0' : 'cpu';
  if (wish === 'cpu') return wish;
  const index = /^cuda(?::(\d+))?$/.exec(wish);
  if (index === null) throw new InputError(`run.device ${wish}: expected auto, cpu, cuda or cuda:<n>`);
  const number = Number(index[1] ?? 0);
  if (number < cudaDevices) return `cuda:${number}`;
  const found = cudaDevices === 0 ? 'no GPU' : `${cudaDevices} GPU${cudaDevices > 1 ? 's' : ''}`;
  throw new InputError(`run.device ${wish}: libtorch found ${found}`, {
    hint: 'run `npx deep-incubation doctor` to see what was found',
  });
}

/**
 * Makes a GPU this thread's current one, which NCCL, cuDNN and pinned memory use. Otherwise they would use the first GPU,
 * and every process would need a CUDA context of half a gigabyte there.
 */
export function useDevice(device: string): void {
  if (device !== 'cpu') native.setDevice(device);
}

/**
 * Resolves a device as `resolveDevice` does, and makes it the current one.
 * @throws InputError if the device does not exist
 */
export function openDevice(wish: string): string {
  const device = resolveDevice(wish);
  useDevice(device);
  return device;
}

/** Peak memory so far, in bytes: that of the GPU, or on the CPU that of the whole process. */
export function peakMemory(device: string): number {
  const cuda = /^cuda:(\d+)$/.exec(device);
  const used = cuda === null ? null : native.cudaMemory(Number(cuda[1]));
  return used === null ? process.resourceUsage().maxRSS * 1024 : used[1];
}
