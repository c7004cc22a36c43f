import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { buildAddon } from './addon-build.mjs';
import { findCompiler } from './compiler.mjs';
import { cudaHeaders } from './cuda.mjs';
import { capture } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { TARGET } from './gpu-target.mjs';
import { findJpeg, JPEG } from './jpeg.mjs';

const NAME = 'deep_incubation.node';
/** Symbols of Node, and optional ones of the compiler. */
const GIVEN = /^napi_|^_ITM_|^__gmon/;

/**
 * Builds the addon for the target's libtorch, which need not be loadable here, and copies it, libjpeg and its
 * info.json into a folder.
 * @param {object} options
 * @param {string} options.root
 * @param {string} options.cache
 * @param {import('./libtorch.mjs').Libtorch} options.libtorch
 * @param {string} options.to
 * @param {boolean} options.canLoad  libtorch's libraries are complete: the addon is loaded once, on the CPU
 * @param {import('./steps.mjs').Note} options.note
 * @returns {Promise<string>} what was done
 */
export async function buildForTarget({ root, cache, libtorch, to, canLoad, note }) {
  const compiler = await findCompiler(process.env);
  const jpeg = await findJpeg(compiler);
  const nccl = cudaHeaders({ libtorch, env: {}, note, usual: join(cache, 'none') });
  if (!nccl.hasNccl) throw new SetupError("NCCL's headers are incomplete, see above.");
  const build = join(root, 'native/build/gpu');
  const done = await buildAddon({
    root,
    folder: 'native',
    build,
    name: NAME,
    cache: join(cache, 'addon'),
    compiler,
    libtorch,
    jpeg,
    loads: false,
    rpath: `${TARGET.libtorch}/lib:$ORIGIN`,
    note,
    flags: {
      compile: [
        '-DINCUBATION_NCCL',
        ...nccl.folders.map((folder) => `-I${folder}`),
        ...(jpeg ? JPEG.compile : []),
      ],
      link: jpeg ? JPEG.link : [],
    },
  });
  const addon = join(build, NAME);
  if (canLoad) await load(addon, libtorch.path);
  else await requireSymbols(addon, libtorch.path);
  copyFileSync(addon, join(to, NAME));
  const info = JSON.parse(readFileSync(join(build, 'info.json'), 'utf8'));
  info.libtorch.path = TARGET.libtorch;
  writeFileSync(join(to, 'info.json'), JSON.stringify(info, null, 2));
  if (jpeg) await copyJpeg(addon, to);
  else note('without libjpeg-turbo: the GPU machine will decode JPEGs with sharp, which is slower');
  return done;
}

/** @param {string} addon @param {string} libtorch */
async function load(addon, libtorch) {
  const script =
    'const addon = require(process.argv[1]); addon.engine(); console.log(addon.collectives().join())';
  const { code, output } = await capture(process.execPath, ['-e', script, addon], {
    env: { ...process.env, LD_LIBRARY_PATH: join(libtorch, 'lib') },
  });
  if (code !== 0 || !output.includes('nccl')) {
    throw new SetupError(`the addon for the GPU machine failed to load, or has no NCCL.`, {
      details: output,
    });
  }
}

/**
 * Every undefined symbol of the addon must be defined by libtorch, except those of system libraries, which have versions.
 * @param {string} addon @param {string} libtorch
 */
async function requireSymbols(addon, libtorch) {
  const symbols = async (/** @type {string} */ kind, /** @type {string[]} */ files) => {
    const { code, stdout, output } = await capture('nm', ['-D', kind, ...files]);
    if (code !== 0) throw new SetupError('nm failed.', { details: output });
    return stdout.split('\n').flatMap(
      (line) =>
        line
          .match(/ ([A-Za-z]) (\S+)$/)
          ?.slice(1, 3)
          .join(' ') ?? [],
    );
  };
  const libraries = ['torch', 'torch_cpu', 'torch_cuda', 'c10', 'c10_cuda'].map((name) =>
    join(libtorch, 'lib', `lib${name}.so`),
  );
  const defined = new Set(
    (await symbols('--defined-only', libraries)).map((symbol) => symbol.slice(2).split('@')[0]),
  );
  const missing = (await symbols('--undefined-only', [addon]))
    .filter((symbol) => symbol.startsWith('U '))
    .map((symbol) => symbol.slice(2))
    .filter((name) => !name.includes('@') && !GIVEN.test(name) && !defined.has(name));
  if (missing.length === 0) return;
  throw new SetupError(
    `the addon needs symbols that libtorch does not have: ${missing.slice(0, 5).join(', ')}`,
  );
}

/** The GPU machine may have another libjpeg. @param {string} addon @param {string} to */
async function copyJpeg(addon, to) {
  const { stdout } = await capture('ldd', [addon]);
  const library = stdout.match(/libjpeg\.so[.\d]* => (\/\S+)/)?.[1];
  if (library === undefined) throw new SetupError('libjpeg, which the addon needs, was not found.');
  const name = stdout.match(/(libjpeg\.so[.\d]*) =>/)?.[1] ?? basename(library);
  copyFileSync(library, join(to, name));
}
