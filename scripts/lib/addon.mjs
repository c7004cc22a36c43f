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
import { compileAll, findCompiler, link } from './compiler.mjs';
import { cudaHeaders } from './cuda.mjs';
import { capture } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { findJpeg, JPEG } from './jpeg.mjs';
import { fillWhole, sha256 } from './paths.mjs';

const NAME = 'deep_incubation.node';
const KEPT_IN_CACHE = 4;

/**
 * The addon, compiled from native/*.cc to native/build/ unless the one there, or one in the cache,
 * was made from the same sources, flags, compiler, libtorch, libjpeg-turbo (if there is one) and Node.
 * @param {object} options
 * @param {string} options.root
 * @param {string} options.cache
 * @param {NodeJS.ProcessEnv} options.env
 * @param {import('./libtorch.mjs').Libtorch} options.libtorch
 * @param {import('./steps.mjs').Note} options.note
 * @returns {Promise<string>}
 */
export async function ensureAddon({ root, cache, env, libtorch, note }) {
  const compiler = await findCompiler(env);
  const jpeg = await findJpeg(compiler);
  const sources = nativeFiles(root, '.cc');
  const nccl = cudaHeaders({ libtorch, env, note });
  const flags = flagsFor({ root, libtorch, nccl, jpeg });
  const inputs = [...sources, ...nativeFiles(root, '.h')].map((file) =>
    sha256(basename(file), readFileSync(file)),
  );
  const headers = nodeHeaders(root);
  const ownFlags = compiler.command.slice(1);
  const setting = [
    ...[compiler.version, ownFlags, flags, jpeg, process.versions.modules],
    ...[libtorch.path, libtorch.version],
  ];
  // Where the package lies is no part of what is built: another clone or project takes the same from the cache.
  const placeless = JSON.stringify([inputs, setting])
    .replaceAll(headers.folder, `node-api-headers ${headers.version}`)
    .replaceAll(join(root, 'native'), 'native');
  const key = sha256(placeless).slice(0, 16);

  const build = join(root, 'native/build');
  const addon = join(build, NAME);
  if (readInfo(build)?.key === key && existsSync(addon)) return 'up to date';

  mkdirSync(build, { recursive: true });
  const cached = join(cache, 'addon', key);
  const isCached = existsSync(join(cached, NAME));
  if (isCached) {
    install(join(cached, NAME), addon);
  } else {
    note(`${compiler.command.join(' ')}: ${sources.length} files, about a minute`);
    const objects = await compileAll({ compiler, flags: flags.compile, sources, build, inputs });
    const fresh = join(build, `${NAME}.${process.pid}`);
    await link({ compiler, objects, flags: flags.link, output: fresh, build });
    renameSync(fresh, addon);
  }
  await checkLoads(addon);
  if (!isCached) await fillWhole(cached, async (temporary) => copyFileSync(addon, join(temporary, NAME)));
  prune(join(cache, 'addon'));
  writeInfo(build, {
    key,
    addon: NAME,
    libtorch,
    jpeg: jpeg ?? null,
    compiler: compiler.version,
    builtAt: new Date().toISOString(),
  });
  return isCached ? 'from the cache' : `compiled with ${compiler.version}`;
}

/** @param {string} root @param {string} extension */
function nativeFiles(root, extension) {
  const folder = join(root, 'native');
  const names = readdirSync(folder, { encoding: 'utf8', recursive: true });
  const wanted = names.filter((name) => name.endsWith(extension) && !name.startsWith('build/'));
  return wanted.sort().map((name) => join(folder, name));
}

/** Where Node-API's headers lie, and their version. @param {string} root */
function nodeHeaders(root) {
  const require = createRequire(join(root, 'package.json'));
  const { version } = require('node-api-headers/package.json');
  return { folder: require('node-api-headers').include_dir, version };
}

/**
 * @param {object} options
 * @param {string} options.root
 * @param {import('./libtorch.mjs').Libtorch} options.libtorch
 * @param {{ hasNccl: boolean, folders: string[] }} options.nccl
 * @param {string | undefined} options.jpeg
 */
function flagsFor({ root, libtorch: { path, cuda, cxx11Abi }, nccl, jpeg }) {
  const lib = join(path, 'lib');
  return {
    compile: [
      ...['-std=c++20', '-O2', '-fPIC', '-fvisibility=hidden', '-DNAPI_VERSION=8'],
      `-D_GLIBCXX_USE_CXX11_ABI=${cxx11Abi ? 1 : 0}`,
      `-I${nodeHeaders(root).folder}`,
      `-I${join(path, 'include')}`,
      `-I${join(path, 'include/torch/csrc/api/include')}`,
      // Last: real headers of Gloo, where there are any, come before ours.
      `-I${join(root, 'native')}`,
      ...(nccl.hasNccl ? ['-DINCUBATION_NCCL', ...nccl.folders.map((folder) => `-I${folder}`)] : []),
      ...(jpeg ? JPEG.compile : []),
    ],
    link: [
      ...[
        '-shared',
        `-L${lib}`,
        `-Wl,-rpath,${lib}`,
        '-Wl,--no-as-needed',
        '-ltorch',
        '-ltorch_cpu',
        '-lc10',
      ],
      ...(cuda ? ['-ltorch_cuda', '-lc10_cuda'] : []),
      ...(jpeg ? JPEG.link : []),
    ],
  };
}

/** Loads the addon in a Node of its own, so that a library it misses is told here. @param {string} addon */
async function checkLoads(addon) {
  const result = await capture(process.execPath, ['-e', `require(${JSON.stringify(addon)})`]);
  if (result.code === 0) return;
  rmSync(addon);
  const reason = result.stderr.match(/^Error: (.*)$/m)?.[1] ?? result.output.trim().split('\n').at(-1);
  throw new SetupError(`the addon does not load: ${reason}`, {
    hint: 'Set LIBTORCH to a libtorch whose own libraries are complete (for CUDA builds: NVIDIA libraries too).',
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
 * native/build/info.json: what the addon was built from and for. `doctor` reads it.
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
