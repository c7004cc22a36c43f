import { join } from 'node:path';
import { buildAddon } from './addon-build.mjs';
import { findCompiler } from './compiler.mjs';
import { cudaHeaders } from './cuda.mjs';
import { findJpeg, JPEG } from './jpeg.mjs';

const NAME = 'deep_incubation.node';

/**
 * @typedef {object} AddonOptions
 * @property {string} root
 * @property {string} cache
 * @property {NodeJS.ProcessEnv} env
 * @property {import('./libtorch.mjs').Libtorch} libtorch
 * @property {import('./steps.mjs').Note} note
 */

/**
 * The addon, compiled from native/*.cc to native/build/ unless it exists (see `buildAddon`).
 * @param {AddonOptions} options
 * @returns {Promise<string>} what was done
 */
export async function ensureAddon({ root, cache, env, libtorch, note }) {
  const compiler = await findCompiler(env);
  const jpeg = await findJpeg(compiler);
  const nccl = cudaHeaders({ libtorch, env, note });
  return buildAddon({
    root,
    folder: 'native',
    build: join(root, 'native/build'),
    name: NAME,
    cache: join(cache, 'addon'),
    compiler,
    libtorch,
    jpeg,
    note,
    flags: {
      compile: [
        ...(nccl.hasNccl ? ['-DINCUBATION_NCCL', ...nccl.folders.map((folder) => `-I${folder}`)] : []),
        ...(jpeg ? JPEG.compile : []),
      ],
      link: jpeg ? JPEG.link : [],
    },
  });
}

/**
 * The fake accelerator of the tests, compiled from test/fake-accelerator/ to its build/ unless it exists.
 * @param {AddonOptions} options
 * @returns {Promise<string>} what was done
 */
export async function ensureFakeAccelerator({ root, cache, env, libtorch, note }) {
  return buildAddon({
    root,
    folder: 'test/fake-accelerator',
    build: join(root, 'test/fake-accelerator/build'),
    name: 'fake_accelerator.node',
    cache: join(cache, 'fake-accelerator'),
    compiler: await findCompiler(env),
    libtorch,
    note,
    flags: { compile: [], link: [] },
  });
}
