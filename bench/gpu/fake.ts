import { createRequire } from 'node:module';
import { native } from '../../src/torch/native.js';
import { settings } from './settings.js';

/** JavaScript interface of test/fake-accelerator. */
interface FakeAccelerator {
  take(): Record<string, number>;
  limitMemory(bytes: number): void;
}

let fake: FakeAccelerator | undefined;

/** Loads the fake accelerator if the dry run uses it. */
export function loadFake(): void {
  if (settings.fakeAddon === undefined) return;
  // libtorch must be loaded first.
  native.engine();
  fake = createRequire(import.meta.url)(settings.fakeAddon);
}

/** Limits the memory of the fake accelerator. Does nothing without it. */
export function limitMemory(bytes: number): void {
  fake?.limitMemory(bytes);
}

/** Counts of operations on a device. */
export interface Counts {
  readonly kernels: number;
  readonly blocking_copies: number;
  readonly scalar_reads: number;
}

/** Counts of operations on the fake accelerator since the last call; undefined without it. */
export function takeCounts(): Counts | undefined {
  if (fake === undefined) return undefined;
  const counts = Object.entries(fake.take());
  const sum = (beginning: string) =>
    counts.filter(([what]) => what.startsWith(beginning)).reduce((total, [, times]) => total + times, 0);
  return {
    kernels: sum('kernel '),
    blocking_copies: sum('blocking copy'),
    scalar_reads: sum('scalar read'),
  };
}
