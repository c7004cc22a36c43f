import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { capture, firstOnPath } from './exec.mjs';
import { fillWhole, sha256 } from './paths.mjs';

/** Packages that tests compare with. The loader bench needs exactly this version of Pillow. */
const PACKAGES = [
  'safetensors>=0.6,<1',
  'tensorboard>=2.20,<3',
  'huggingface_hub>=0.30,<3',
  'numpy>=2,<3',
  'pycocotools>=2.0.11,<3',
  'pillow==13.0.0',
];
/** These need torch, which is taken from the set-up's libtorch: a second one would be 1 to 5 GB. */
const TORCH_PACKAGES = ['timm>=1,<2', 'transformers>=4.57,<6', 'torchvision', 'setuptools'];

/**
 * The Python of the tests that compare with Python programs: a virtual environment in the cache, created once per machine.
 * A failure is not an error: the tests that need it are skipped, and `npm test` counts skips.
 * @param {object} options
 * @param {NodeJS.ProcessEnv} options.env
 * @param {string} options.cache
 * @param {boolean} options.provide  whether packages may be fetched
 * @param {import('./libtorch.mjs').Libtorch} options.libtorch
 * @param {import('./steps.mjs').Note} options.note
 * @returns {Promise<string>} what was found, installed or is missing
 */
export async function ensureTestPython({ env, cache, provide, libtorch, note }) {
  if (env.DEEP_INCUBATION_INTEROP_PYTHON) return env.DEEP_INCUBATION_INTEROP_PYTHON;
  const python = firstOnPath(['python3', 'python'], env);
  if (!python) return 'not found: Python; its tests are skipped';
  const version = (await capture(python, ['--version'], { env })).stdout.trim();
  const key = sha256(
    JSON.stringify([version, libtorch.path, libtorch.version, PACKAGES, TORCH_PACKAGES, DECLARE_OPERATORS]),
  );
  const folder = join(cache, 'test-python');
  if (readRecord(folder)?.key !== key) {
    if (!provide) return '--no-install: Python packages are not installed, and their tests are skipped';
    note(`Python packages for tests into ${folder} (500 MB, once per machine; --no-install prevents this)`);
    const failure = await fillWhole(folder, (temporary) =>
      fill({ folder: temporary, python, env, libtorch, key }),
    ).catch((error) => {
      if (error instanceof PipError) return error.message;
      throw error;
    });
    if (failure) return `Python packages could not be installed, their tests are skipped: ${failure}`;
  }
  const lacks = readRecord(folder)?.lacks;
  return lacks ? `${version} in ${folder}; ${lacks}` : `${version} in ${folder}`;
}

/** @param {string} folder @returns {{ key: string, lacks?: string } | undefined} */
function readRecord(folder) {
  const file = join(folder, 'complete.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

class PipError extends Error {}

/** @param {{ folder: string, python: string, env: NodeJS.ProcessEnv, libtorch: import('./libtorch.mjs').Libtorch, key: string }} options */
async function fill({ folder, python, env, libtorch, key }) {
  const own = join(folder, 'bin/python');
  // Some distributions package pip for environments separately; then the Python's own pip installs into this one.
  const made = await capture(python, ['-m', 'venv', folder], { env });
  const pip = made.code === 0 ? [own, '-m', 'pip'] : [python, '-m', 'pip', '--python', own];
  if (made.code !== 0) {
    rmSync(folder, { recursive: true, force: true });
    await mustRun([python, '-m', 'venv', '--without-pip', folder], env);
  }
  const packages = [...PACKAGES];
  const torch = await borrowTorch(own, libtorch, env);
  if (torch) packages.push(...TORCH_PACKAGES, `torch==${torch}`);
  await mustRun([...pip, 'install', '--no-input', '--no-compile', ...packages], {
    ...env,
    PIP_USER: '0',
    PIP_REQUIRE_VIRTUALENV: '0',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
  });
  const lacks = torch
    ? await whyNoTorch(own, env)
    : `${libtorch.path} is not a torch package for this Python (set DEEP_INCUBATION_INTEROP_PYTHON to a Python with torch, timm and transformers)`;
  writeFileSync(join(folder, 'complete.json'), JSON.stringify({ key, lacks }));
}

/**
 * Lets the environment import the torch package that libtorch is part of.
 * @param {string} python @param {import('./libtorch.mjs').Libtorch} libtorch @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string | undefined>} its version, if there is one
 */
async function borrowTorch(python, libtorch, env) {
  const site = await mustRun([python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'], env);
  writeFileSync(join(site, 'libtorch.pth'), `${dirname(libtorch.path)}\n`);
  const found = await capture(python, ['-c', 'import importlib.metadata as m; print(m.version("torch"))'], {
    env,
  });
  return found.code === 0 ? found.stdout.trim() : undefined;
}

/**
 * A torchvision of the package index is built for CUDA. With a torch for the CPU it does not load its operators, and
 * then fails to import since two of them are not declared. timm needs neither.
 */
const DECLARE_OPERATORS = `
if not _has_ops():
    for _name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{_name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
`;

/** @param {string} python @param {NodeJS.ProcessEnv} env @returns {Promise<string | undefined>} */
async function whyNoTorch(python, env) {
  const where = 'import importlib.util as u; print(u.find_spec("torchvision").submodule_search_locations[0])';
  const torchvision = await mustRun([python, '-c', where], env);
  appendFileSync(join(torchvision, 'extension.py'), DECLARE_OPERATORS);
  const { code, output } = await capture(python, ['-c', 'import torch, timm, transformers'], { env });
  return code === 0 ? undefined : `torch, timm or transformers cannot be imported: ${lastLine(output)}`;
}

/** @param {string[]} command @param {NodeJS.ProcessEnv} env */
async function mustRun([program = '', ...args], env) {
  const { code, stdout, output } = await capture(program, args, { env });
  if (code !== 0) throw new PipError(output.match(/^ERROR: .*$/m)?.[0] ?? lastLine(output));
  return stdout.trim();
}

/** @param {string} text */
function lastLine(text) {
  return text.trim().split('\n').at(-1) ?? '';
}
