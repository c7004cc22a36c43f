import { writeFileSync } from 'node:fs';
import { capture, firstOnPath } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { TARGET } from './gpu-target.mjs';
import { FETCHED_VERSION, WHEEL_PYTHON } from './libtorch-fetch.mjs';
import { PINS_FILE, readPins, requirementsOf } from './pins.mjs';
import { flagsForTarget } from './wheels.mjs';

/** @typedef {import('./pins.mjs').Pins} Pins */

/**
 * Asks pip for the hashes of what may be downloaded, and writes them.
 * @param {{ env: NodeJS.ProcessEnv, to?: URL | string, old?: ReturnType<typeof readPins> }} options
 * @returns {Promise<string[]>} what changed, a line per wheel
 */
export async function pinWheels({ env, to = PINS_FILE, old = readPins() }) {
  let libtorch = select(old.libtorch, (name) => name.startsWith(`torch-${FETCHED_VERSION}`));
  /** @type {Pins} */
  let nvidia = {};
  for (const machine of ['x86_64', 'aarch64']) {
    const requirements = [`torch==${FETCHED_VERSION}`];
    const found = await askPip({ env, python: WHEEL_PYTHON, machine, requirements });
    libtorch = merge(
      libtorch,
      select(found, (name) => name.startsWith('torch-')),
    );
    const needed = select(found, (name) => name.startsWith('nvidia_'));
    const before = select(old.nvidia, (name) => name.endsWith(`_${machine}.whl`));
    merge(before, needed);
    // A CPU build needs no NVIDIA library, and its index has none.
    nvidia = merge(nvidia, Object.keys(needed).length > 0 ? needed : before);
  }
  const pins = { libtorch, nvidia, gpuKit: await pinGpuKit(env, old.gpuKit) };
  writeFileSync(to, `${JSON.stringify(pins, null, 2)}\n`);
  return [
    ...changes('libtorch', old.libtorch, pins.libtorch),
    ...changes('nvidia', old.nvidia, pins.nvidia),
    ...changes('gpuKit', old.gpuKit, pins.gpuKit),
  ];
}

/** @param {NodeJS.ProcessEnv} env @param {Pins} old @returns {Promise<Pins>} */
async function pinGpuKit(env, old) {
  const requirements = [`torch==${TARGET.version.split('+')[0]}`, ...TARGET.headers, ...TARGET.libraries];
  const pinned = requirementsOf(old, 'x64');
  if (requirements.every((requirement) => pinned.includes(requirement))) return old;
  const flags = ['--no-deps', ...requirements];
  return merge({}, await askPip({ env, python: TARGET.python, machine: 'x86_64', requirements: flags }));
}

/** @param {Pins} pins @param {(name: string) => boolean} isWanted */
function select(pins, isWanted) {
  return Object.fromEntries(Object.entries(pins).filter(([name]) => isWanted(name)));
}

/**
 * A published wheel never changes: another hash under the same name means that one of the two is forged or damaged.
 * @param {Pins} old @param {Pins} found
 */
function merge(old, found) {
  const changed = Object.keys(found).find((name) => old[name] !== undefined && old[name] !== found[name]);
  if (changed !== undefined) {
    throw new SetupError(
      `${changed} has another SHA-256 than before: pinned ${old[changed]}, got ${found[changed]}.`,
      {
        hint: `Find out why before you remove the old pin from ${PINS_FILE.pathname}.`,
      },
    );
  }
  return Object.fromEntries(Object.entries({ ...old, ...found }).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** @param {string} group @param {Pins} old @param {Pins} now */
function changes(group, old, now) {
  const added = Object.keys(now).filter((name) => old[name] === undefined);
  const removed = Object.keys(old).filter((name) => now[name] === undefined);
  return [...added.map((name) => `+ ${group}: ${name}`), ...removed.map((name) => `- ${group}: ${name}`)];
}

/**
 * The hashes of the wheels that pip would install, as its index gives them.
 * @param {{ env: NodeJS.ProcessEnv, python: string, machine: string, requirements: string[] }} options
 * @returns {Promise<Pins>}
 */
async function askPip({ env, python, machine, requirements }) {
  const program = firstOnPath(['python3', 'python'], env);
  if (!program) throw new SetupError('Python, whose pip knows the hashes, was not found on the PATH.');
  const flags = [
    '--quiet',
    '--no-input',
    '--dry-run',
    '--ignore-installed',
    '--report',
    '-',
    '--target',
    '/nonexistent',
  ];
  const args = ['-m', 'pip', 'install', ...flags, ...flagsForTarget({ python, machine }), ...requirements];
  const answer = await capture(program, args, { env });
  if (answer.code !== 0)
    throw new SetupError(`pip does not find ${requirements[0]} for ${machine}.`, {
      details: answer.output.slice(-2000),
    });
  /** @type {{ install: { download_info: { url: string, archive_info: { hashes?: { sha256?: string } } } }[] }} */
  const { install } = JSON.parse(answer.stdout);
  return Object.fromEntries(
    install.map(({ download_info: { url, archive_info } }) => {
      const name = decodeURIComponent(url.split('/').at(-1) ?? '');
      const hash = archive_info.hashes?.sha256;
      if (!hash) throw new SetupError(`pip gives no SHA-256 for ${name}.`);
      return [name, hash];
    }),
  );
}
