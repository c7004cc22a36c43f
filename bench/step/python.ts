import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { RunError } from '../../src/base/errors.js';

/** The set-up fetches libtorch of the same release, so both sides run the same kernels. */
const TORCH = '2.13.0';

/** The same cache folder as in scripts/lib/paths.mjs. */
export function cacheRoot(env: NodeJS.ProcessEnv): string {
  return (
    env.DEEP_INCUBATION_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'deep-incubation')
  );
}

/**
 * The Python of a virtual environment with PyTorch, created once per machine, or the one in DEEP_INCUBATION_BENCH_PYTHON.
 * @throws RunError if there is no Python, or pip fails
 */
export function benchPython(env: NodeJS.ProcessEnv): string {
  if (env.DEEP_INCUBATION_BENCH_PYTHON) return env.DEEP_INCUBATION_BENCH_PYTHON;
  const folder = join(cacheRoot(env), 'bench-venv');
  const python = join(folder, 'bin/python');
  if (existsSync(join(folder, '.complete'))) return python;
  process.stderr.write(`pip install torch==${TORCH} into ${folder} (about 1 GB, once a machine)\n`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  attempt('python3', ['-m', 'venv', folder], env);
  attempt(
    python,
    ['-m', 'pip', 'install', '--quiet', '--no-input', `torch==${TORCH}`, 'numpy', 'setuptools'],
    env,
  );
  attempt(python, ['-c', `open(${JSON.stringify(join(folder, '.complete.new'))}, 'w')`], env);
  renameSync(join(folder, '.complete.new'), join(folder, '.complete'));
  return python;
}

function attempt(command: string, args: readonly string[], env: NodeJS.ProcessEnv): void {
  const { status, stderr, error } = spawnSync(command, args, { env, encoding: 'utf8' });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim().split('\n').at(-1);
  throw new RunError(`the bench compares with PyTorch, which could not be installed: ${reason}`, {
    hint: 'it needs python3 with venv (`apt-get install python3-venv`), pip with an index it reaches, and 2 GB of disk',
  });
}
