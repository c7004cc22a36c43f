import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { announcedBytes, bar, growingFile } from './download-progress.mjs';
import { capture, firstOnPath } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { fillWhole, nearestExisting } from './paths.mjs';
import { readPins, requirementsOf, verifyWheel } from './pins.mjs';

/** The libtorch that the set-up fetches. */
export const FETCHED_VERSION = '2.13.0';

const NEEDED_BYTES = 2e9;
const OWN_LIBTORCH = 'or set LIBTORCH to an unpacked libtorch, 2.6 or newer';

/** Any Python's wheel works, because the addon uses no Python. So only the wheels of this one are pinned. */
export const WHEEL_PYTHON = '3.11';

/**
 * Installs the pinned `torch` wheel without its dependencies into a folder. pip downloads it with the user's settings
 * (index, proxies, local wheels). Each wheel must match its pinned SHA-256 before anything of it is unpacked.
 * Python is needed here only, not when the library is used.
 * @param {object} options
 * @param {string} options.folder
 * @param {NodeJS.ProcessEnv} options.env
 * @param {import('./steps.mjs').Note} options.note
 * @param {number} [options.freeBytes]  room on the folder's disk
 * @param {Pick<ReturnType<typeof readPins>, 'libtorch' | 'nvidia'>} [options.pins]
 */
export async function fetchLibtorch({ folder, env, note, freeBytes = roomFor(folder), pins = readPins() }) {
  if (freeBytes < NEEDED_BYTES) {
    throw new SetupError(
      `libtorch needs 2 GB of disk space, but ${folder} has only ${(freeBytes / 1e9).toFixed(1)} GB.`,
      { hint: 'Free some space, or set DEEP_INCUBATION_CACHE to a folder on another disk.' },
    );
  }
  const pip = await findPip(env);
  note(`pip download torch==${FETCHED_VERSION} into ${folder} (0.2 to 1 GB, once per machine)`);
  await fillWhole(folder, async (temporary) => {
    await installVerified({
      pip,
      folder: temporary,
      requirements: [`torch==${FETCHED_VERSION}`],
      pins: pins.libtorch,
      note,
    });
    if (!existsSync(join(temporary, 'torch/lib/libtorch_cuda.so'))) return;
    note("pip's index has a CUDA build: downloading the NVIDIA libraries that it needs (2 to 4 GB)");
    note('on a machine without a GPU, set PIP_INDEX_URL to an index of CPU builds to avoid this');
    const requirements = requirementsOf(pins.nvidia, process.arch);
    await installVerified({ pip, folder: temporary, requirements, pins: pins.nvidia, note });
  });
}

/**
 * @param {{ pip: Pip, folder: string, requirements: string[], pins: import('./pins.mjs').Pins,
 *   note: import('./steps.mjs').Note }} options
 */
async function installVerified({ pip, folder, requirements, pins, note }) {
  const wheels = join(folder, '.wheels');
  const where = ['--only-binary=:all:', '--python-version', WHEEL_PYTHON];
  const args = ['download', '--no-deps', ...where, '--dest', wheels, ...requirements];
  const download = await downloadShown({ pip, args, temporary: join(folder, '.download'), note });
  if (download.code !== 0) throw pipFailure(download.output);
  const files = readdirSync(wheels).map((name) => join(wheels, name));
  for (const file of files) await verifyWheel(file, pins);
  const install = ['install', '--no-index', '--no-deps', '--no-compile', ...where, '--target', folder];
  const installed = await pip([...install, ...files]);
  if (installed.code !== 0) throw pipFailure(installed.output);
  rmSync(wheels, { recursive: true });
}

/**
 * Runs `pip download`, and shows on a terminal how much of the file is there. pip keeps the incomplete file in `temporary`.
 * @param {{ pip: Pip, args: string[], temporary: string, note: import('./steps.mjs').Note }} options
 */
async function downloadShown({ pip, args, temporary, note }) {
  mkdirSync(temporary);
  /** @type {number | undefined} */
  let all;
  const timer = setInterval(() => {
    if (all !== undefined) note.progress?.(bar(growingFile(temporary), all));
  }, 500);
  try {
    return await pip(args, {
      env: { TMPDIR: temporary },
      onOutput: (output) => {
        all = announcedBytes(output);
      },
    });
  } finally {
    clearInterval(timer);
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** @param {string} folder */
function roomFor(folder) {
  const { bavail, bsize } = statfsSync(nearestExisting(folder));
  return bavail * bsize;
}

/**
 * @typedef {(args: string[], more?: { env?: NodeJS.ProcessEnv, onOutput?: (output: string) => void }) =>
 *   Promise<import('./exec.mjs').Captured>} Pip
 */

/** @param {NodeJS.ProcessEnv} env @returns {Promise<Pip>} */
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
  return (args, { env: more, onOutput } = {}) =>
    capture(python, ['-m', 'pip', '--no-input', ...args], { env: { ...pipEnv, ...more }, onOutput });
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
