import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { errorText, RunError } from '../base/errors.js';
import { addonPath } from './native.js';

/** For tests. */
interface Places {
  readonly devices?: string;
  readonly addon?: string;
}

/** Run in a separate process: loading libtorch takes a third of a second and, with CUDA, memory. */
const PROBE = 'process.stdout.write("\\n" + require(process.argv[1]).engine().cudaDevices)';
const PATIENCE_MS = 60_000;
/** Names of GPU device files: those of NVIDIA's driver, also under WSL and on a Jetson. */
const OF_A_GPU = /^(nvidia(\d+|ctl)|dxg|nvgpu|nvhost-gpu)$/;

/**
 * Number of GPUs that libtorch sees: those that its build, the driver and `CUDA_VISIBLE_DEVICES` let it use. A short-lived
 * process counts them; on a machine without a GPU's device file, the answer is 0 without it.
 * @throws RunError if libtorch does not answer
 */
export async function countGpus(env: NodeJS.ProcessEnv = process.env, places: Places = {}): Promise<number> {
  const { devices = '/dev', addon = addonPath } = places;
  if (!readdirSync(devices).some((name) => OF_A_GPU.test(name))) return 0;
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', PROBE, addon], {
      env: { ...env, OMP_NUM_THREADS: '1' },
      timeout: PATIENCE_MS,
      killSignal: 'SIGKILL',
    });
    return Number(stdout.split('\n').at(-1));
  } catch (error) {
    throw new RunError(`libtorch failed to count the GPUs: ${reasonOf(error)}`, {
      hint: 'run `npx deep-incubation doctor`; with run.device cpu, GPUs are not counted',
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  const { killed, signal } = error as { killed?: boolean; signal?: NodeJS.Signals };
  if (killed) return `no answer in ${PATIENCE_MS / 1000} s`;
  if (signal) return `its process died of ${signal}`;
  return /^\w*Error: (.*)$/m.exec(errorText(error))?.[1] ?? errorText(error).split('\n', 1)[0];
}

/** Number of GPUs of the driver, without those that `CUDA_VISIBLE_DEVICES` hides. libtorch may see fewer. */
export function gpusOfDriver(env: NodeJS.ProcessEnv = process.env, devices = '/dev'): number {
  const all = readdirSync(devices).filter((name) => /^nvidia\d+$/.test(name)).length;
  const visible = env.CUDA_VISIBLE_DEVICES;
  if (visible === undefined) return all;
  return Math.min(all, visible.split(',').filter((id) => /^[^-\s]/.test(id.trim())).length);
}
