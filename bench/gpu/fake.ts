import { createRequire } from 'node:module';
import { native } from '../../src/torch/native.js';
import { settings } from './settings.js';

/** test/fake-accelerator, as JavaScript sees it. */
interface FakeAccelerator {
  take(): Record<string, number>;
  limitMemory(bytes: number): void;
}

let fake: FakeAccelerator | undefined;

/** Loads the fake accelerator if this is its dry run. */
export function loadFake(): void {
  if (settings.fakeAddon === undefined) return;
  // libtorch comes first.
  native.engine();
  fake = createRequire(import.meta.url)(settings.fakeAddon);
}

/** The fake accelerator's memory is so large from now on. Without it nothing happens. */
export function limitMemory(bytes: number): void {
  fake?.limitMemory(bytes);
}

/** What a device was asked to do. */
export interface Counts {
  readonly kernels: number;
  readonly blocking_copies: number;
  readonly scalar_reads: number;
}

/** What the fake accelerator was asked to do since the last call; undefined without it. */
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
