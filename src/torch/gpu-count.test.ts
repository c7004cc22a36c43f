import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RunError } from '../base/errors.js';
import { countGpus, gpusOfDriver } from './gpu-count.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpu-count-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A machine with these device files, and an addon whose `engine()` is this JavaScript. */
function machine(files: string[], engine: string) {
  for (const name of files) writeFileSync(join(folder, name), '');
  const addon = join(folder, 'addon.cjs');
  writeFileSync(addon, `exports.engine = () => { ${engine} };`);
  return { devices: folder, addon };
}

const COUNTS_VISIBLE_DEVICES =
  'return { cudaDevices: (process.env.CUDA_VISIBLE_DEVICES ?? "0,1,2").split(",").length };';

test.each([['nvidia0'], ['nvidiactl'], ['dxg']])('libtorch is queried if /dev/%s exists', async (file) => {
  const places = machine([file, 'null'], COUNTS_VISIBLE_DEVICES);
  expect(await countGpus({}, places)).toBe(3);
  expect(await countGpus({ CUDA_VISIBLE_DEVICES: '1' }, places)).toBe(1);
});

test('a libtorch for the CPU sees none of the GPUs that the driver shows', async () => {
  const places = machine(['nvidia0', 'nvidia1'], 'return { cudaDevices: 0 };');
  expect(await countGpus({}, places)).toBe(0);
  expect(await countGpus({ CUDA_VISIBLE_DEVICES: '0,1' }, places)).toBe(0);
});

test('on a machine without a GPU libtorch is not queried', async () => {
  const places = machine(['null', 'nvidia-uvm'], 'throw new Error("queried");');
  expect(await countGpus({ CUDA_VISIBLE_DEVICES: '0' }, places)).toBe(0);
});

test('other output of libtorch is ignored', async () => {
  const places = machine(['nvidia0'], 'console.log("5 warnings"); return { cudaDevices: 2 };');
  expect(await countGpus({}, places)).toBe(2);
});

test.each([
  ['throw new Error("CUDA driver initialization failed");', 'CUDA driver initialization failed'],
  ['process.kill(process.pid, "SIGSEGV"); for (;;);', 'its process died of SIGSEGV'],
])('libtorch that fails with %s does not count as a machine without GPUs', async (engine, reason) => {
  const failure = await countGpus({}, machine(['nvidia0'], engine)).catch((error) => error);
  expect(failure).toBeInstanceOf(RunError);
  expect(failure.message).toMatch(/^libtorch failed to count the GPUs: /);
  expect(failure.message).toContain(reason);
  expect(failure.hint).toContain('doctor');
});

test('the driver’s GPUs are limited to the visible ones', () => {
  machine(['nvidia0', 'nvidia1', 'nvidia2', 'nvidiactl'], '');
  const seen = (visible?: string) => gpusOfDriver({ CUDA_VISIBLE_DEVICES: visible }, folder);
  expect([undefined, '0,2', '', '-1', 'GPU-5a,MIG-7', '0,1,2,3'].map(seen)).toEqual([3, 2, 0, 0, 2, 3]);
});
