import { capture, firstOnPath } from './exec.mjs';

const PACKAGES = ['slurm-wlm', 'munge'];

/**
 * Slurm for the tests that start one, from Debian's packages where this is root's machine. Without it those tests are
 * skipped, and say so.
 * @param {{ env: NodeJS.ProcessEnv, note: import('./steps.mjs').Note, uid?: number, daemons?: string }} options
 *   `daemons`: folders that an ordinary user's PATH lacks
 * @returns {Promise<string>} what was found, or why there is none
 */
export async function ensureSlurm({ env, note, uid = process.getuid?.(), daemons = '/usr/sbin:/sbin' }) {
  const found = () =>
    ['munged', 'slurmctld', 'sbatch'].every((name) =>
      firstOnPath([name], { PATH: `${env.PATH}:${daemons}` }),
    );
  if (found()) return 'found';
  if (uid !== 0) return `not found, and only root may install it: apt-get install ${PACKAGES.join(' ')}`;
  if (!firstOnPath(['apt-get'], env)) return 'not found, and there is no apt-get to install it with';
  note(`apt-get install ${PACKAGES.join(' ')}`);
  const install = () =>
    capture('apt-get', ['install', '--yes', '--no-install-recommends', ...PACKAGES], {
      env: { ...env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  let result = await install();
  if (result.code !== 0) {
    // It may never have heard of the packages.
    await capture('apt-get', ['update'], { env });
    result = await install();
  }
  if (result.code === 0 && found()) return 'installed';
  const last = result.output.trim().split('\n').at(-1) ?? '';
  return `apt-get could not install it (no network?), its tests are skipped: ${last}`;
}
