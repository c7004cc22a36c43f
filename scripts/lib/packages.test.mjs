import { describe, expect, it } from 'vitest';
import { ensurePackages } from './packages.mjs';
import { pathOf, silent, temporaryFolder, writeFiles } from './testing.mjs';

/** @param {Record<string, object>} packages */
const lock = (packages) => JSON.stringify({ packages });
const WANTED = {
  '': {},
  'node_modules/a': { version: '1.0.0' },
  'node_modules/b': { version: '2.0.0', optional: true },
};

/** @param {Record<string, object> | undefined} installed @param {string} npm */
function packages(installed, npm, nodeVersion = '20.19.0') {
  const root = writeFiles(temporaryFolder(), { 'package-lock.json': lock(WANTED) });
  if (installed) writeFiles(root, { 'node_modules/.package-lock.json': lock(installed) });
  return ensurePackages({ root, env: { PATH: pathOf({ npm }) }, nodeVersion, note: silent });
}

describe('ensurePackages', () => {
  it('does not touch complete packages, even if optional ones are missing', async () => {
    expect(await packages({ 'node_modules/a': { version: '1.0.0' } }, 'exit 1')).toBe('Node 20.19.0');
  });

  it.each([[undefined], [{}], [{ 'node_modules/a': { version: '0.9.0' } }]])(
    'installs over %j',
    async (installed) => {
      expect(await packages(installed, 'exit 0')).toBe('Node 20.19.0, npm packages installed');
    },
  );

  it('distinguishes an unreachable registry from other failures', async () => {
    const offline = 'echo "npm error code ENOTFOUND" >&2; exit 1';
    await expect(packages(undefined, offline)).rejects.toThrow('npm could not reach its package registry.');
    await expect(packages(undefined, 'echo "npm error odd" >&2; exit 1')).rejects.toMatchObject({
      message: '`npm ci` failed.',
      details: 'npm error odd',
    });
  });

  it.each(['18.20.4', '20.18.3'])('refuses Node %s', async (version) => {
    await expect(packages({}, 'exit 0', version)).rejects.toThrow(
      `this is Node ${version}; deep-incubation needs 20.19 or newer.`,
    );
  });
});
