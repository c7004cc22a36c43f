import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { capture, firstOnPath } from './exec.mjs';
import { SetupError } from './failure.mjs';

/**
 * The npm packages of package-lock.json, installed with `npm ci` unless they are installed already.
 * @param {{ root: string, env: NodeJS.ProcessEnv, nodeVersion?: string, note: import('./steps.mjs').Note }} options
 * @returns {Promise<string>}
 */
export async function ensurePackages({ root, env, nodeVersion = process.versions.node, note }) {
  checkNode(nodeVersion);
  const lock = join(root, 'package-lock.json');
  if (!existsSync(lock)) return `Node ${nodeVersion}`; // an installed package: npm has installed the rest
  const installed = join(root, 'node_modules/.package-lock.json');
  if (existsSync(installed) && isInstalled(readLock(lock), readLock(installed))) return `Node ${nodeVersion}`;
  note('npm ci');
  if (!firstOnPath(['npm'], env)) {
    throw new SetupError('npm was not found on the PATH.', { hint: 'Install npm, which comes with Node.' });
  }
  const result = await capture('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], {
    cwd: root,
    // Its tests run on the CPU, so the CUDA libraries that it would download are not needed.
    env: { ...env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });
  if (result.code !== 0) throw npmFailure(result.output);
  return `Node ${nodeVersion}, npm packages installed`;
}

/** @param {string} version */
function checkNode(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new SetupError(`this is Node ${version}; deep-incubation needs 20.19 or newer.`, {
    hint: 'Install a newer Node, for example with `nvm install 22`.',
  });
}

/** @typedef {Record<string, { version?: string, integrity?: string, optional?: boolean, devOptional?: boolean }>} Lock */

/** @param {string} file @returns {Lock} */
function readLock(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
}

/**
 * npm writes node_modules/.package-lock.json when an install is complete; it lists the installed packages.
 * Optional packages may be absent: they are other platforms' binaries.
 * @param {Lock} wanted
 * @param {Lock} installed
 */
function isInstalled(wanted, installed) {
  return Object.entries(wanted).every(([path, entry]) => {
    const found = installed[path];
    if (path === '' || (!found && (entry.optional || entry.devOptional))) return true;
    return found?.version === entry.version && found?.integrity === entry.integrity;
  });
}

/** @param {string} output */
function npmFailure(output) {
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT/.test(output)) {
    return new SetupError('npm could not reach its package registry.', {
      hint: 'Check the network and `npm config get registry`, then run the set-up again.',
    });
  }
  return new SetupError('`npm ci` failed.', { details: output.trim().split('\n').slice(-20).join('\n') });
}
