import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const UNITS = { kB: 1e3, MB: 1e6, GB: 1e9 };
const CELLS = 20;

/**
 * The size in pip's message about the latest download: `Downloading torch-2.13.0.whl (189.2 MB)`.
 * @param {string} output @returns {number | undefined} its size in bytes
 */
export function announcedBytes(output) {
  const last = [...output.matchAll(/^ *Downloading \S+ \(([\d.]+) (kB|MB|GB)\)/gm)].at(-1);
  if (last === undefined) return undefined;
  return Number(last[1]) * UNITS[/** @type {keyof typeof UNITS} */ (last[2])];
}

/** `━━━━━───────────────  47 of 189 MB`. @param {number} done @param {number} all  both in bytes */
export function bar(done, all) {
  const full = Math.min(CELLS, Math.floor((CELLS * done) / all));
  const mega = (/** @type {number} */ bytes) => Math.round(bytes / 1e6).toLocaleString('en-US');
  return `${'━'.repeat(full)}${'─'.repeat(CELLS - full)}  ${mega(Math.min(done, all))} of ${mega(all)} MB`;
}

/** The size in bytes of the file below a folder that was written last, which is being downloaded. @param {string} folder */
export function growingFile(folder) {
  let newest = { size: 0, mtimeMs: 0 };
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    // Files appear and disappear while pip works.
    const stat = statSync(join(folder, name), { throwIfNoEntry: false });
    if (stat?.isFile() && stat.mtimeMs >= newest.mtimeMs) newest = stat;
  }
  return newest.size;
}
