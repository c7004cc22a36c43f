import { InputError } from '../base/errors.js';
import { type EngineInfo, native } from './native.js';

/** What the libtorch in use is, and what it sees on this machine. */
export function engineInfo(): EngineInfo {
  return native.engine();
}

/** CPU threads of libtorch's operators, in this process. */
export function setThreads(threads: number): void {
  native.setThreads(threads);
}

/**
 * The device a recipe's `run.device` means here: `auto` is the first GPU, else the CPU.
 * @throws InputError when it is not there
 */
export function resolveDevice(wish: string): string {
  return wish === 'cpu' ? wish : deviceAmong(wish, native.engine().cudaDevices);
}

/**
 * As `resolveDevice`, where libtorch sees so many GPUs.
 * @throws InputError when the device is not among them
 */
export function deviceAmong(wish: string, cudaDevices: number): string {
  if (wish === 'auto') return cudaDevices > 0 ? 'cuda:0' : 'cpu';
  if (wish === 'cpu') return wish;
  const index = /^cuda(?::(\d+))?$/.exec(wish);
  if (index === null) throw new InputError(`run.device ${wish}: expected auto, cpu, cuda or cuda:<n>`);
  const number = Number(index[1] ?? 0);
  if (number < cudaDevices) return `cuda:${number}`;
  const found = cudaDevices === 0 ? 'no GPU' : `${cudaDevices} GPU${cudaDevices > 1 ? 's' : ''}`;
  throw new InputError(`run.device ${wish}: libtorch sees ${found} here`, {
    hint: 'run `npx deep-incubation doctor` to see what was found',
  });
}

/**
 * Makes a GPU the current one of this thread: NCCL, cuDNN and pinned memory use it. Without it they would take the
 * first one, with a CUDA context of half a gigabyte there for every process.
 */
export function useDevice(device: string): void {
  if (device !== 'cpu') native.setDevice(device);
}

/**
 * The device of `resolveDevice`, made the current one.
 * @throws InputError when it is not there
 */
export function openDevice(wish: string): string {
  const device = resolveDevice(wish);
  useDevice(device);
  return device;
}

/** The most memory used so far, bytes: of the device, or on the CPU of the whole process. */
export function peakMemory(device: string): number {
  const cuda = /^cuda:(\d+)$/.exec(device);
  const used = cuda === null ? null : native.cudaMemory(Number(cuda[1]));
  return used === null ? process.resourceUsage().maxRSS * 1024 : used[1];
}
