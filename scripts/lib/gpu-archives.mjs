import { copyFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { capture } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { sha256 } from './paths.mjs';

/** Files that no program reads at run time. */
const UNREAD = ['*.map', '*.d.ts', '*.d.mts', '*.d.cts', '.tsbuildinfo'].map((name) => `--exclude=${name}`);

/** @param {string} command @param {string[]} args @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options] */
async function run(command, args, options) {
  const { code, output } = await capture(command, args, options);
  if (code !== 0) throw new SetupError(`${command} failed.`, { details: output.slice(-2000) });
}

/**
 * This Node, compressed; once for each version.
 * @param {{ cache: string, to: string }} options
 * @returns {Promise<string>}
 */
export async function packNode({ cache, to }) {
  const node = process.execPath;
  if ((await capture('ldd', [node])).stdout.includes('libnode')) {
    throw new SetupError(`${node} needs libnode, which the GPU machine does not have.`, {
      hint: 'Use a Node from nodejs.org or nvm.',
    });
  }
  const packed = join(cache, `node-${process.version}-${sha256(readFileSync(node)).slice(0, 12)}.xz`);
  if (!existsSync(packed)) {
    const partial = `${packed}.${process.pid}`;
    await run('sh', ['-c', 'xz -6 --stdout "$1" > "$2"', 'sh', node, partial]);
    renameSync(partial, packed);
  }
  copyFileSync(packed, to);
  return process.version;
}

/**
 * The packages without those for development; once for each package-lock.json.
 * @param {{ root: string, cache: string, to: string }} options
 * @returns {Promise<string>}
 */
export async function packPackages({ root, cache, to }) {
  const lock = readFileSync(join(root, 'package-lock.json'));
  const packed = join(cache, `node_modules-${sha256(lock, process.version).slice(0, 12)}.tar.xz`);
  const isCached = existsSync(packed);
  if (!isCached) {
    const folder = mkdtempSync(join(cache, 'packages-'));
    try {
      for (const name of ['package.json', 'package-lock.json'])
        copyFileSync(join(root, name), join(folder, name));
      const flags = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
      await run('npm', ['ci', ...flags], { cwd: folder });
      await packFolder({ root: folder, name: 'node_modules', to: `${packed}.${process.pid}` });
      renameSync(`${packed}.${process.pid}`, packed);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  copyFileSync(packed, to);
  return isCached ? 'from the cache' : 'packed';
}

/** A folder below the root as a tar file. @param {{ root: string, name: string, to: string }} options */
export function packFolder({ root, name, to }) {
  const env = { ...process.env, XZ_OPT: '-6' };
  return run('tar', ['-C', root, ...UNREAD, '-cJf', to, name], { env });
}
