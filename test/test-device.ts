import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type * as Engine from '../src/torch/engine.js';
import { native } from '../src/torch/native.js';

interface FakeAccelerator {
  /** Counts of device operations since the last call. */
  take(): Record<string, number>;
}

/** Registers the devices `fake:0` and `fake:1`. */
export function loadFake(): FakeAccelerator {
  // libtorch must be loaded first.
  native.engine();
  const addon = new URL('fake-accelerator/build/fake_accelerator.node', import.meta.url);
  return createRequire(import.meta.url)(fileURLToPath(addon));
}

/** The device of tests that can run on any: DEEP_INCUBATION_TEST_DEVICE (`fake:0`, `cuda:0`), by default the CPU. */
export const DEVICE = process.env.DEEP_INCUBATION_TEST_DEVICE || 'cpu';

if (DEVICE.startsWith('fake')) loadFake();

/**
 * The engine, which accepts only devices of the recipe, accepting DEVICE as well. For `vi.mock`:
 *
 *   vi.mock('../torch/engine.js', async (original) => (await import('../../test/test-device.js')).acceptingDevice(original));
 */
export async function acceptingDevice(original: () => Promise<unknown>): Promise<typeof Engine> {
  const engine = (await original()) as typeof Engine;
  const openDevice = (wish: string) => {
    if (wish !== DEVICE) return engine.openDevice(wish);
    engine.useDevice(wish);
    return wish;
  };
  return { ...engine, openDevice };
}
