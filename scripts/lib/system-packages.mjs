import { existsSync, readFileSync } from 'node:fs';
import { capture, firstOnPath } from './exec.mjs';

/**
 * A package of a Linux distribution that tests need.
 * @typedef {object} SystemPackage
 * @property {string} name
 * @property {string[]} signs        programs on the PATH and absolute paths that show that it is installed
 * @property {'any' | 'all'} enough  how many of `signs` must be found
 * @property {string[]} packages     Debian's names
 * @property {string} uses           which tests need it
 */

/** @type {SystemPackage[]} */
export const SYSTEM_PACKAGES = JSON.parse(
  readFileSync(new URL('system-packages.json', import.meta.url), 'utf8'),
);

/**
 * Installs the system packages that are missing with apt-get. A package that cannot be installed is not an error: its
 * tests are skipped, and `npm test` counts skips.
 * @param {object} options
 * @param {NodeJS.ProcessEnv} options.env
 * @param {boolean} options.install  whether packages may be installed
 * @param {import('./steps.mjs').Note} options.note
 * @param {SystemPackage[]} [options.table]
 * @param {number} [options.uid]
 * @param {string} [options.daemons]  folders that an ordinary user's PATH lacks
 * @returns {Promise<string>} what was found, installed or is missing
 */
export async function ensureSystemPackages({
  env,
  install,
  note,
  table = SYSTEM_PACKAGES,
  uid = process.getuid?.(),
  daemons = '/usr/sbin:/sbin',
}) {
  const path = { PATH: `${env.PATH}:${daemons}` };
  const missing = () => table.filter((each) => !isFound(each, path));
  const wanted = missing();
  if (wanted.length === 0) return `${namesOf(table)} found`;
  const packages = wanted.flatMap((each) => each.packages);
  const command = `apt-get install ${packages.join(' ')}`;
  const absent = `not found: ${namesOf(wanted)}; their tests are skipped`;
  if (!firstOnPath(['apt-get'], env)) return `${absent} (no apt-get to install them)`;
  if (uid !== 0) return `${absent}; run \`${command}\` as root to install them`;
  if (!install) return `${absent}; run \`npm test -- --install\` or \`${command}\` to install them`;

  for (const { name, uses } of wanted) note(`${name}: for ${uses}`);
  note(`installing system packages: ${command} (--no-install prevents this)`);
  const output = await aptInstall(packages, env);
  const still = missing();
  if (still.length === 0) return `installed: ${namesOf(wanted)}`;
  const reason = output.trim().split('\n').at(-1) ?? '';
  return `could not be installed: ${namesOf(still)}; their tests are skipped: ${reason}`;
}

/** @param {SystemPackage} wanted @param {NodeJS.ProcessEnv} env */
function isFound({ signs, enough }, env) {
  const found = (/** @type {string} */ sign) =>
    sign.startsWith('/') ? existsSync(sign) : firstOnPath([sign], env) !== undefined;
  return enough === 'any' ? signs.some(found) : signs.every(found);
}

/** @param {SystemPackage[]} packages */
function namesOf(packages) {
  return packages.map(({ name }) => name).join(', ');
}

/** @param {string[]} packages @param {NodeJS.ProcessEnv} env */
async function aptInstall(packages, env) {
  const install = () =>
    capture('apt-get', ['install', '--yes', '--no-install-recommends', ...packages], {
      env: { ...env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  const first = await install();
  if (first.code === 0) return first.output;
  // The package lists may be missing or out of date.
  await capture('apt-get', ['update'], { env });
  return (await install()).output;
}
