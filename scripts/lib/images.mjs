import { createHash } from 'node:crypto';
import { copyFileSync, createReadStream, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { SetupError } from './failure.mjs';
import { FETCHERS } from './images-fetch.mjs';
import { fillWhole } from './paths.mjs';

/**
 * The four files of Fashion-MNIST and the sha256 of their unpacked content: distributions
 * compress them again, so the .gz files differ.
 * @type {Record<string, string>}
 */
const FASHION_MNIST = {
  'train-images-idx3-ubyte.gz': 'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
  'train-labels-idx1-ubyte.gz': 'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
  't10k-images-idx3-ubyte.gz': '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
  't10k-labels-idx1-ubyte.gz': '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
};

const DEBIAN_FOLDER = '/usr/share/datasets/fashion-mnist';

/**
 * Copies Fashion-MNIST to `<cache>/fashion-mnist`, the only folder that the product reads: from
 * `$FASHION_MNIST`, the cache itself, Debian's package where installed, or the network.
 * @param {object} options
 * @param {NodeJS.ProcessEnv} options.env
 * @param {string} options.cache
 * @param {import('./steps.mjs').Note} options.note
 * @param {string} [options.debianFolder]
 * @param {import('./images-fetch.mjs').Fetcher[]} [options.fetchers]
 * @param {Record<string, string>} [options.files]
 * @returns {Promise<string>} the folder
 */
export async function ensureImages({
  env,
  cache,
  note,
  debianFolder = DEBIAN_FOLDER,
  fetchers = FETCHERS,
  files = FASHION_MNIST,
}) {
  const folder = join(cache, 'fashion-mnist');
  if (isVerified(folder, files)) return folder;
  if (env.FASHION_MNIST) {
    const fault = await findFault(env.FASHION_MNIST, files);
    if (fault) throw wrongFolder(env.FASHION_MNIST, fault);
    return keep(folder, files, (to) => copyAll(env.FASHION_MNIST ?? '', to, files));
  }
  if (existsSync(folder)) {
    const fault = await findFault(folder, files);
    if (!fault) return markVerified(folder, files);
    note(`downloading ${folder} again: ${fault}`);
  }
  if (existsSync(debianFolder) && !(await findFault(debianFolder, files))) {
    return keep(folder, files, (to) => copyAll(debianFolder, to, files));
  }
  const faults = [];
  for (const { name, fetchInto } of fetchers) {
    note(`downloading 30 MB from ${name}`);
    try {
      return await keep(folder, files, (to) => fetchInto(to, Object.keys(files)));
    } catch (error) {
      faults.push(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new SetupError('Fashion-MNIST could not be downloaded.', {
    details: faults.join('\n'),
    hint: 'Check the network, or put its four .gz files into a folder and set FASHION_MNIST to it.',
  });
}

/** @param {string} folder @param {string} fault */
function wrongFolder(folder, fault) {
  return new SetupError(`FASHION_MNIST is ${folder}: ${fault}.`, {
    hint: 'Unset it, and the set-up downloads the images; or put the original files there.',
    exitCode: 2,
  });
}

/**
 * @param {string} folder
 * @param {Record<string, string>} files
 * @param {(to: string) => void | Promise<void>} bring
 */
async function keep(folder, files, bring) {
  await fillWhole(folder, async (temporary) => {
    await bring(temporary);
    const fault = await findFault(temporary, files);
    if (fault) throw new Error(fault);
    markVerified(temporary, files);
  });
  return folder;
}

/** @param {string} from @param {string} to @param {Record<string, string>} files */
function copyAll(from, to, files) {
  for (const name of Object.keys(files)) copyFileSync(join(from, name), join(to, name));
}

/**
 * The first problem of a folder of the files, if there is one.
 * @param {string} folder
 * @param {Record<string, string>} files
 */
async function findFault(folder, files) {
  for (const [name, expected] of Object.entries(files)) {
    if (!existsSync(join(folder, name))) return `${name} is missing`;
    const found = await unpackedHash(join(folder, name));
    if (found !== expected) {
      const what = found
        ? `unpacks to other content (sha256 ${found.slice(0, 12)}…, not ${expected.slice(0, 12)}…)`
        : 'is not a complete .gz file';
      return `${name} ${what}`;
    }
  }
  return undefined;
}

/** @param {string} file */
async function unpackedHash(file) {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(file), createGunzip(), hash);
  } catch {
    return undefined;
  }
  return hash.digest('hex');
}

/** Sizes and times of verified files, so that the next set-up need not read them. */
const STAMP = '.verified.json';

/** @param {string} folder @param {Record<string, string>} files */
function fileState(folder, files) {
  return JSON.stringify(
    Object.entries(files).map(([name, hash]) => {
      const { size, mtimeMs } = statSync(join(folder, name));
      return [name, hash, size, mtimeMs];
    }),
  );
}

/** @param {string} folder @param {Record<string, string>} files */
function markVerified(folder, files) {
  writeFileSync(join(folder, STAMP), fileState(folder, files));
  return folder;
}

/** @param {string} folder @param {Record<string, string>} files */
function isVerified(folder, files) {
  try {
    return readFileSync(join(folder, STAMP), 'utf8') === fileState(folder, files);
  } catch {
    return false;
  }
}
