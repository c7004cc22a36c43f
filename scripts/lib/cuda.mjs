import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Headers that the addon's NCCL part includes, in addition to those of libtorch, and the pip packages that contain them. */
const HEADERS = [
  { header: 'nccl.h', pip: 'nvidia-nccl' },
  { header: 'crt/host_config.h', pip: 'nvidia-cuda-crt' },
  { header: 'cuda_runtime_api.h', pip: 'nvidia-cuda-runtime' },
  { header: 'nv/target', pip: 'nvidia-cuda-cccl' },
  { header: 'cublas_v2.h', pip: 'nvidia-cublas' },
  { header: 'cusparse.h', pip: 'nvidia-cusparse' },
  { header: 'cusolverDn.h', pip: 'nvidia-cusolver' },
];

/**
 * The folders of CUDA's and NCCL's headers for a libtorch: beside it, as pip installs them, then in a CUDA toolkit of
 * the same major version. Without all headers the addon is built without NCCL, and a note says what to install.
 * @param {object} options
 * @param {import('./libtorch.mjs').Libtorch} options.libtorch
 * @param {NodeJS.ProcessEnv} options.env
 * @param {import('./steps.mjs').Note} options.note
 * @param {string} [options.usual]  folder of the toolkit if CUDA_HOME is not set
 * @returns {{ hasNccl: boolean, folders: string[] }}
 */
export function cudaHeaders({ libtorch, env, note, usual = '/usr/local/cuda' }) {
  if (!libtorch.cuda) return { hasNccl: false, folders: [] };
  const cuda = cudaVersionOf(libtorch);
  const packages = join(libtorch.path, '../nvidia');
  const names = existsSync(packages) ? readdirSync(packages).sort() : [];
  const toolkit = env.CUDA_HOME ?? usual;
  const isUsable = fits(toolkit, cuda, note);
  const roots = [...names.map((name) => join(packages, name)), ...(isUsable ? [toolkit] : [])];
  const folders = roots.map((folder) => join(folder, 'include')).filter((folder) => existsSync(folder));
  const missing = HEADERS.filter(({ header }) => !folders.some((folder) => existsSync(join(folder, header))));
  if (missing.length === 0) return { hasNccl: true, folders };
  note(`without NCCL, which training one phase on several GPUs needs: ${list(missing, 'header')} not found`);
  note(`to add it: pip install ${missing.map(({ pip }) => packageFor(pip, cuda)).join(' ')}`);
  note(`  or set CUDA_HOME to a CUDA toolkit ${cuda ?? ''} with NCCL; then run the set-up again`);
  return { hasNccl: false, folders: [] };
}

/** @param {{ header: string, pip: string }[]} entries @param {'header' | 'pip'} key */
function list(entries, key) {
  return entries.map((entry) => entry[key]).join(', ');
}

/** The CUDA version that a libtorch is built for, such as 13.0. @param {import('./libtorch.mjs').Libtorch} libtorch */
function cudaVersionOf({ path, version }) {
  const [, major, minor] = /\+cu(\d+)(\d)/.exec(version) ?? [];
  if (major) return `${major}.${minor}`;
  const file = join(path, 'version.py');
  return existsSync(file) ? /^cuda.*= '(\d+\.\d+)/m.exec(readFileSync(file, 'utf8'))?.[1] : undefined;
}

/**
 * Headers of another major version compile to an addon that fails while it runs.
 * @param {string} toolkit @param {string | undefined} cuda @param {import('./steps.mjs').Note} note
 */
function fits(toolkit, cuda, note) {
  const header = join(toolkit, 'include/cuda.h');
  if (!existsSync(header)) return existsSync(toolkit);
  const number = Number(/#define CUDA_VERSION (\d+)/.exec(readFileSync(header, 'utf8'))?.[1]);
  const major = Math.floor(number / 1000);
  if (cuda === undefined || Number.isNaN(number) || major === Number.parseInt(cuda, 10)) return true;
  note(`ignoring the CUDA ${major} toolkit in ${toolkit}: libtorch is built for CUDA ${cuda}`);
  return false;
}

/**
 * pip's name of a package for a CUDA version; up to CUDA 12 the compiler's package holds `crt/`.
 * @param {string} pip @param {string} [cuda]
 */
function packageFor(pip, cuda) {
  const major = Number.parseInt(cuda ?? '13', 10);
  const isOfRuntime = pip.startsWith('nvidia-cuda-');
  const version = isOfRuntime && cuda ? `==${cuda}.*` : '';
  if (major >= 13) return `${pip}${pip === 'nvidia-nccl' ? `-cu${major}` : ''}${version}`;
  return `${pip === 'nvidia-cuda-crt' ? 'nvidia-cuda-nvcc' : pip}-cu${major}${version}`;
}
