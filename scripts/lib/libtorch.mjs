import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { capture, firstOnPath } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { FETCHED_VERSION, fetchLibtorch } from './libtorch-fetch.mjs';

/** The oldest libtorch the addon compiles against. */
const OLDEST = '2.6';

/**
 * @typedef {object} Libtorch
 * @property {string} path     folder with lib/ and include/
 * @property {string} version  as its build names it: 2.13.0+cpu
 * @property {boolean} cuda    a CUDA build
 * @property {boolean} cxx11Abi  compiled with _GLIBCXX_USE_CXX11_ABI=1
 */

/**
 * @typedef {object} Where
 * @property {NodeJS.ProcessEnv} env
 * @property {string} cache
 * @property {import('./steps.mjs').Note} note
 * @property {ReturnType<typeof import('./pins.mjs').readPins>} [pins]  of what may be downloaded
 */

/**
 * libtorch, found in this order: `$LIBTORCH`; the `torch` package of a Python on the PATH; the
 * cache; else fetched into the cache with pip.
 * @param {Where} where
 * @returns {Promise<Libtorch>}
 */
export async function ensureLibtorch({ env, cache, note, pins }) {
  if (env.LIBTORCH) return fromVariable(resolve(env.LIBTORCH));
  const ofPython = await fromPython(env, note);
  if (ofPython) return ofPython;
  const folder = join(cache, `libtorch-${FETCHED_VERSION}`);
  if (!isLibtorch(join(folder, 'torch'))) await fetchLibtorch({ folder, env, note, pins });
  return inspectLibtorch(join(folder, 'torch'));
}

/** @param {string} path @returns {Libtorch} */
function fromVariable(path) {
  const version = readVersion(path);
  if (version && isTooOld(version)) {
    throw new SetupError(
      `LIBTORCH is ${path}, libtorch ${version}; deep-incubation needs ${OLDEST} or newer.`,
      {
        hint: `Unset LIBTORCH, and the set-up downloads ${FETCHED_VERSION}; or set it to a newer libtorch.`,
        exitCode: 2,
      },
    );
  }
  if (!version || !isLibtorch(path)) {
    throw new SetupError(`LIBTORCH is ${path}, which has no lib/libtorch_cpu.so or include/torch/.`, {
      hint: "Set it to an unpacked libtorch or to a Python's site-packages/torch, or unset it.",
      exitCode: 2,
    });
  }
  return inspectLibtorch(path);
}

const ASK_PYTHON = `
import importlib.util
spec = importlib.util.find_spec('torch')
print((spec and spec.submodule_search_locations or [''])[0])
`;

/**
 * The torch package of a Python on the PATH, found without importing it (an import takes seconds).
 * @param {NodeJS.ProcessEnv} env
 * @param {import('./steps.mjs').Note} note
 * @returns {Promise<Libtorch | undefined>}
 */
async function fromPython(env, note) {
  for (const name of ['python3', 'python']) {
    const python = firstOnPath([name], env);
    if (!python) continue;
    const path = (await capture(python, ['-c', ASK_PYTHON], { env, cwd: '/' })).stdout.trim();
    if (!path || !isLibtorch(path)) continue;
    const version = readVersion(path);
    if (version && !isTooOld(version)) return inspectLibtorch(path);
    note(`ignoring torch ${version ?? 'of unknown version'} of ${python}: ${OLDEST} or newer is needed`);
  }
  return undefined;
}

/** @param {string} path */
function isLibtorch(path) {
  return existsSync(join(path, 'lib/libtorch_cpu.so')) && existsSync(join(path, 'include/ATen/ATen.h'));
}

/** @param {string} path @returns {Libtorch} */
export function inspectLibtorch(path) {
  // libtorch's C++ ABI is visible in the mangled name of any function that takes a std::string.
  const newAbi = '_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx11';
  return {
    path,
    version: readVersion(path) ?? 'unknown',
    cuda: existsSync(join(path, 'lib/libtorch_cuda.so')),
    cxx11Abi: readFileSync(join(path, 'lib/libc10.so')).includes(newAbi),
  };
}

/**
 * The version as the Python package or the zip file writes it, else as the C++ headers do.
 * @param {string} path
 * @returns {string | undefined}
 */
function readVersion(path) {
  const python = readText(join(path, 'version.py')).match(/^__version__ = '([^']+)'/m)?.[1];
  const zip = readText(join(path, 'build-version')).trim();
  if (python || zip) return python || zip;
  const headers = ['torch/headeronly/version.h', 'torch/csrc/api/include/torch/version.h'];
  for (const header of headers) {
    const text = readText(join(path, 'include', header));
    const numbers = ['MAJOR', 'MINOR', 'PATCH'].map(
      (part) => text.match(new RegExp(`#define TORCH_VERSION_${part} (\\d+)`))?.[1],
    );
    if (numbers.every(Boolean)) return numbers.join('.');
  }
  return undefined;
}

/** @param {string} version */
function isTooOld(version) {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST.split('.').map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

/** @param {string} file */
function readText(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
