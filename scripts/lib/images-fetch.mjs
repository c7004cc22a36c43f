import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture, firstOnPath } from './exec.mjs';

/** @typedef {{ name: string, fetchInto: (folder: string, files: string[]) => Promise<void> }} Fetcher */

const PACKAGE = 'dataset-fashion-mnist';
const OFFICIAL = 'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com';

/** Where Fashion-MNIST comes from, in the order tried. @type {Fetcher[]} */
export const FETCHERS = [
  { name: `Debian's package ${PACKAGE}`, fetchInto: fetchWithApt },
  { name: 'its official address', fetchInto: fetchOfficial },
];

/**
 * Downloads and unpacks Debian's package without installing it, so that root is not needed. If
 * apt's lists do not contain the package, they are downloaded into a private folder.
 * @param {string} folder
 * @param {string[]} files
 */
async function fetchWithApt(folder, files) {
  for (const tool of ['apt-get', 'dpkg']) {
    if (!firstOnPath([tool], process.env)) throw new Error(`${tool} not found`);
  }
  const work = mkdtempSync(join(tmpdir(), 'fashion-mnist-'));
  try {
    if (!(await aptDownload(work, []))) {
      for (const name of ['lists/partial', 'archives/partial'])
        mkdirSync(join(work, name), { recursive: true });
      const own = ['State::lists=lists', 'Cache=.', 'Cache::archives=archives'].map((at) => {
        const [key, path = ''] = at.split('=');
        return `-oDir::${key}=${join(work, path)}`;
      });
      const update = await capture('apt-get', [...own, 'update'], { cwd: work });
      if (!(await aptDownload(work, own))) throw new Error(lastLine(update.output) || 'unknown to apt');
    }
    const unpacked = join(work, 'unpacked');
    const archive = readdirSync(work).find((name) => name.endsWith('.deb')) ?? '';
    const dpkg = await capture('dpkg', ['-x', join(work, archive), unpacked]);
    if (dpkg.code !== 0) throw new Error(lastLine(dpkg.output));
    for (const name of files) {
      copyFileSync(join(unpacked, 'usr/share/datasets/fashion-mnist', name), join(folder, name));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** @param {string} work @param {string[]} options */
async function aptDownload(work, options) {
  await capture('apt-get', [...options, 'download', PACKAGE], { cwd: work });
  return readdirSync(work).some((name) => name.endsWith('.deb'));
}

/** @param {string} folder @param {string[]} files */
async function fetchOfficial(folder, files) {
  for (const name of files) {
    const response = await fetch(`${OFFICIAL}/${name}`, { signal: AbortSignal.timeout(300_000) });
    if (!response.ok) throw new Error(`${name}: HTTP ${response.status}`);
    writeFileSync(join(folder, name), Buffer.from(await response.arrayBuffer()));
  }
}

/** @param {string} text */
function lastLine(text) {
  return text.trim().split('\n').at(-1) ?? '';
}
