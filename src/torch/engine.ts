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
  const { cudaDevices } = native.engine();
  if (wish === 'auto') return cudaDevices > 0 ? 'cuda:0' : 'cpu';
  if (wish === 'cpu') return wish;
  const index = /^cuda(?::(\d+))?$/.exec(wish);
  if (index === null) throw new InputError(`run.device ${wish}: expected auto, cpu, cuda or cuda:<n>`);
  const number = Number(index[1] ?? 0);
  if (number < cudaDevices) return `cuda:${number}`;
  const found = cudaDevices === 0 ? 'no GPU' : `${cudaDevices} GPUs`;
  throw new InputError(`run.device ${wish}: libtorch sees ${found} here`, {
    hint: 'run `deep-incubation doctor` to see what was found',
  });
}

/** The most memory used so far, bytes: of the device, or on the CPU of the whole process. */
export function peakMemory(device: string): number {
  const cuda = /^cuda:(\d+)$/.exec(device);
  const used = cuda === null ? null : native.cudaMemory(Number(cuda[1]));
  return used === null ? process.resourceUsage().maxRSS * 1024 : used[1];
}
