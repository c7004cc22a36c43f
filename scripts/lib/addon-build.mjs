import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { compileAll, link } from './compiler.mjs';
import { capture } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { fillWhole, sha256 } from './paths.mjs';

const KEPT_IN_CACHE = 4;

/**
 * @typedef {object} AddonBuild
 * @property {string} root     of the package
 * @property {string} folder   of the sources, *.cc and *.h, below the root
 * @property {string} build    where the addon and its info.json go
 * @property {string} name     the addon's file
 * @property {string} cache    folder of the cache for addons of this name
 * @property {import('./compiler.mjs').Compiler} compiler
 * @property {import('./libtorch.mjs').Libtorch} libtorch
 * @property {{ compile: string[], link: string[] }} flags  in addition to those of every addon
 * @property {string} [jpeg]   version of libjpeg-turbo
 * @property {boolean} [loads] whether it can be loaded here; default true
 * @property {string} [rpath]  where it looks for libtorch; default: where libtorch is now
 * @property {import('./steps.mjs').Note} note
 */

/**
 * An addon over libtorch, compiled unless the one there, or one in the cache, was made from the same sources, flags,
 * compiler, libtorch, libjpeg-turbo (if there is one) and Node.
 * @param {AddonBuild} options
 * @returns {Promise<string>} what was done
 */
export async function buildAddon(options) {
  const { root, folder, build, name, cache, compiler, libtorch, jpeg, loads = true, note } = options;
  const sources = filesOf(join(root, folder), '.cc');
  const flags = flagsFor(options);
  const inputs = [...sources, ...filesOf(join(root, folder), '.h')].map((file) =>
    sha256(basename(file), readFileSync(file)),
  );
  const headers = nodeHeaders(root);
  const ownFlags = compiler.command.slice(1);
  const setting = [
    ...[compiler.version, ownFlags, flags, jpeg, process.versions.modules],
    ...[libtorch.path, libtorch.version],
  ];
  // The location of the package does not affect the build, so other clones and projects can use the same cache entry.
  const placeless = JSON.stringify([inputs, setting])
    .replaceAll(headers.folder, `node-api-headers ${headers.version}`)
    .replaceAll(join(root, folder), folder);
  const key = sha256(placeless).slice(0, 16);

  const addon = join(build, name);
  if (readInfo(build)?.key === key && existsSync(addon)) return 'up to date';

  mkdirSync(build, { recursive: true });
  const cached = join(cache, key);
  const isCached = existsSync(join(cached, name));
  if (isCached) {
    install(join(cached, name), addon);
  } else {
    note(`${compiler.command.join(' ')}: ${sources.length} files, takes about a minute`);
    const objects = await compileAll({ compiler, flags: flags.compile, sources, build, inputs });
    const fresh = join(build, `${name}.${process.pid}`);
    await link({ compiler, objects, flags: flags.link, output: fresh, build });
    renameSync(fresh, addon);
  }
  if (loads) await checkLoads(addon);
  if (!isCached) await fillWhole(cached, async (temporary) => copyFileSync(addon, join(temporary, name)));
  prune(cache);
  const builtAt = new Date().toISOString();
  writeInfo(build, { key, addon: name, libtorch, jpeg: jpeg ?? null, compiler: compiler.version, builtAt });
  return isCached ? 'from the cache' : `compiled with ${compiler.version}`;
}

/** @param {string} folder @param {string} extension */
function filesOf(folder, extension) {
  const names = readdirSync(folder, { encoding: 'utf8', recursive: true });
  const wanted = names.filter((name) => name.endsWith(extension) && !name.startsWith('build/'));
  return wanted.sort().map((name) => join(folder, name));
}

/** The folder and version of Node-API's headers. @param {string} root */
function nodeHeaders(root) {
  const require = createRequire(join(root, 'package.json'));
  const { version } = require('node-api-headers/package.json');
  return { folder: require('node-api-headers').include_dir, version };
}

/** @param {AddonBuild} options */
function flagsFor({ root, folder, libtorch: { path, cuda, cxx11Abi }, rpath, flags }) {
  const lib = join(path, 'lib');
  return {
    compile: [
      ...['-std=c++20', '-O2', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=8'],
      `-D_GLIBCXX_USE_CXX11_ABI=${cxx11Abi ? 1 : 0}`,
      `-I${nodeHeaders(root).folder}`,
      `-I${join(path, 'include')}`,
      `-I${join(path, 'include/torch/csrc/api/include')}`,
      // Last, so that real headers of Gloo, if there are any, come before ours.
      `-I${join(root, folder)}`,
      ...flags.compile,
    ],
    link: [
      ...['-shared', `-L${lib}`, `-Wl,-rpath,${rpath ?? lib}`, '-Wl,--no-as-needed'],
      ...['-ltorch', '-ltorch_cpu', '-lc10'],
      ...(cuda ? ['-ltorch_cuda', '-lc10_cuda'] : []),
      ...flags.link,
    ],
  };
}

/** Loads the addon in a separate Node process, to detect missing libraries. @param {string} addon */
async function checkLoads(addon) {
  const result = await capture(process.execPath, ['-e', `require(${JSON.stringify(addon)})`]);
  if (result.code === 0) return;
  rmSync(addon);
  const reason = result.stderr.match(/^Error: (.*)$/m)?.[1] ?? result.output.trim().split('\n').at(-1);
  throw new SetupError(`the addon failed to load: ${reason}`, {
    hint: 'Set LIBTORCH to a complete libtorch (for CUDA builds, including the NVIDIA libraries).',
  });
}

/** @param {string} from @param {string} to */
function install(from, to) {
  const temporary = `${to}.${process.pid}`;
  copyFileSync(from, temporary);
  renameSync(temporary, to);
}

/** Keeps the newest builds of the cache. @param {string} folder */
function prune(folder) {
  const builds = readdirSync(folder).filter((name) => !name.startsWith('.'));
  const newestFirst = builds
    .map((name) => ({ path: join(folder, name), time: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time);
  for (const { path } of newestFirst.slice(KEPT_IN_CACHE)) rmSync(path, { recursive: true, force: true });
}

/**
 * info.json: what an addon was built from and for. `doctor` reads it.
 * @typedef {{ key: string, addon: string, libtorch: import('./libtorch.mjs').Libtorch, jpeg: string | null, compiler: string, builtAt: string }} BuildInfo
 */

/** @param {string} build @returns {BuildInfo | undefined} */
function readInfo(build) {
  try {
    return JSON.parse(readFileSync(join(build, 'info.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** @param {string} build @param {BuildInfo} info */
function writeInfo(build, info) {
  writeFileSync(join(build, 'info.json'), `${JSON.stringify(info, null, 2)}\n`);
}
