import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { capture, firstOnPath } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { fillWhole, nearestExisting } from './paths.mjs';

/** The libtorch that the set-up fetches. */
export const FETCHED_VERSION = '2.13.0';

const NEEDED_BYTES = 2e9;
const OWN_LIBTORCH = 'or set LIBTORCH to an unpacked libtorch, 2.6 or newer';

/**
 * Installs the `torch` wheel alone into a folder with pip, whose settings of the user (index,
 * proxies, local wheels) hold. Python is needed here only: nothing of it runs later.
 * @param {object} options
 * @param {string} options.folder
 * @param {NodeJS.ProcessEnv} options.env
 * @param {import('./steps.mjs').Note} options.note
 * @param {number} [options.freeBytes]  room on the folder's disk
 */
export async function fetchLibtorch({ folder, env, note, freeBytes = roomFor(folder) }) {
  if (freeBytes < NEEDED_BYTES) {
    throw new SetupError(
      `libtorch needs 2 GB of disk space, but ${folder} has only ${(freeBytes / 1e9).toFixed(1)} GB.`,
      { hint: 'Free some space, or set DEEP_INCUBATION_CACHE to a folder on another disk.' },
    );
  }
  const pip = await findPip(env);
  note(`pip install torch==${FETCHED_VERSION} into ${folder} (0.2 to 1 GB, once per machine)`);
  await fillWhole(folder, async (temporary) => {
    await installTorch(pip, temporary);
    const cudaPackages = cudaRequirements(temporary);
    if (cudaPackages.length > 0) {
      note("pip's index has a CUDA build: downloading the NVIDIA libraries that it needs (2 to 4 GB)");
      note('on a machine without a GPU, set PIP_INDEX_URL to an index of CPU builds to avoid this');
      const result = await pip([...cudaPackages, '--target', temporary]);
      if (result.code !== 0) throw pipFailure(result.output);
    }
  });
}

/** @param {string} folder */
function roomFor(folder) {
  const { bavail, bsize } = statfsSync(nearestExisting(folder));
  return bavail * bsize;
}

/** @typedef {(args: string[]) => Promise<import('./exec.mjs').Captured>} PipInstall */

/** @param {NodeJS.ProcessEnv} env @returns {Promise<PipInstall>} */
async function findPip(env) {
  const python = firstOnPath(['python3', 'python'], env);
  if (!python) {
    throw new SetupError('libtorch was not found, and downloading it needs Python.', {
      hint: `Run \`apt-get install python3-pip\` as root, ${OWN_LIBTORCH}.`,
    });
  }
  if ((await capture(python, ['-m', 'pip', '--version'], { env })).code !== 0) {
    throw new SetupError(`libtorch was not found, and ${python} has no pip to download it.`, {
      hint: `Run \`apt-get install python3-pip\` as root, ${OWN_LIBTORCH}.`,
    });
  }
  // A user's settings that make no sense with --target would make pip refuse.
  const pipEnv = { ...env, PIP_USER: '0', PIP_REQUIRE_VIRTUALENV: '0', PIP_DISABLE_PIP_VERSION_CHECK: '1' };
  return (args) => capture(python, ['-m', 'pip', 'install', '--no-input', ...args], { env: pipEnv });
}

/**
 * Any Python's wheel will do: the addon links none of Python. So where there is none for the Python
 * at hand, the one for 3.11 is taken.
 * @param {PipInstall} pip
 * @param {string} target
 */
async function installTorch(pip, target) {
  const args = [`torch==${FETCHED_VERSION}`, '--no-deps', '--only-binary=:all:', '--target', target];
  const own = await pip(args);
  if (own.code === 0) return;
  if (!own.output.includes('No matching distribution')) throw pipFailure(own.output);
  const other = await pip([...args, '--python-version', '3.11']);
  if (other.code !== 0) throw pipFailure(other.output);
}

/**
 * What a CUDA build requires of NVIDIA's libraries; nothing for a CPU build.
 * @param {string} target
 */
function cudaRequirements(target) {
  if (!existsSync(join(target, 'torch/lib/libtorch_cuda.so'))) return [];
  const info = readdirSync(target).find((name) => /^torch-.*\.dist-info$/.test(name));
  if (!info) return [];
  const metadata = readFileSync(join(target, info, 'METADATA'), 'utf8');
  return [...metadata.matchAll(/^Requires-Dist: ((?:nvidia-|cuda-toolkit).*)$/gm)].map(
    (match) => match[1] ?? '',
  );
}

/** @param {string} output */
function pipFailure(output) {
  if (/No space left on device/.test(output)) {
    return new SetupError('the disk became full while pip installed libtorch.', {
      hint: 'Free some space, or set DEEP_INCUBATION_CACHE to a folder on another disk.',
    });
  }
  if (/Retrying|NewConnectionError|ConnectTimeout|Max retries|Name or service|name resolution/.test(output)) {
    return new SetupError(`pip could not reach its index to download torch ${FETCHED_VERSION}.`, {
      hint: `Check the network and \`pip config list\`, ${OWN_LIBTORCH}.`,
    });
  }
  const reason =
    output
      .match(/^ERROR: .*$/gm)
      ?.at(-1)
      ?.slice('ERROR: '.length) ?? 'pip printed no reason';
  return new SetupError(`pip could not install torch ${FETCHED_VERSION}: ${reason}`, {
    hint: `Check \`pip config list\`, ${OWN_LIBTORCH}.`,
  });
}
