import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's (or the installed package's) root folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The folder for files that several clones share: libtorch, built addons, images.
 * @param {NodeJS.ProcessEnv} env
 */
export function cacheRoot(env) {
  if (env.DEEP_INCUBATION_CACHE) return resolve(env.DEEP_INCUBATION_CACHE);
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'deep-incubation');
}

/**
 * Creates a folder that is visible only when complete: `fill` works in a hidden neighbour, which is
 * renamed when done and removed on failure. What an interrupted earlier attempt left is removed.
 * @template T
 * @param {string} folder
 * @param {(temporary: string) => Promise<T>} fill
 * @returns {Promise<T>}
 */
export async function fillWhole(folder, fill) {
  const parent = dirname(folder);
  mkdirSync(parent, { recursive: true });
  removeLeftovers(parent, basename(folder));
  const temporary = join(parent, `.${basename(folder)}-${process.pid}-${Date.now().toString(36)}`);
  mkdirSync(temporary);
  try {
    const answer = await fill(temporary);
    rmSync(folder, { recursive: true, force: true });
    renameSync(temporary, folder);
    return answer;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** @param {string} parent @param {string} name */
function removeLeftovers(parent, name) {
  for (const entry of readdirSync(parent)) {
    if (!entry.startsWith(`.${name}-`)) continue;
    const pid = Number(entry.slice(name.length + 2).split('-')[0]);
    if (!isAlive(pid)) rmSync(join(parent, entry), { recursive: true, force: true });
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/** The nearest folder upwards that exists. @param {string} folder @returns {string} */
export function nearestExisting(folder) {
  return existsSync(folder) ? folder : nearestExisting(dirname(folder));
}

/** @param {...(string | Buffer)} parts */
export function sha256(...parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}
