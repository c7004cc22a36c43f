import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError } from './failure.mjs';
import { inspectLibtorch } from './libtorch.mjs';
import { readPins } from './pins.mjs';
import { fetchWheels } from './wheels.mjs';

/** The machine that the kit is packed for: a virtual environment with this torch. */
export const TARGET = {
  /** The path at which the addon looks for libtorch; bench/gpu/run can set another one. */
  libtorch: '/opt/torch/.venv/lib/python3.12/site-packages/torch',
  python: '3.12',
  version: '2.11.0+cu130',
  /** Their headers are needed to build the addon with NCCL. */
  headers: [
    'nvidia-cuda-runtime==13.0.96',
    'nvidia-cuda-crt==13.0.88',
    'nvidia-cuda-cccl==13.0.85',
    'nvidia-nccl-cu13==2.28.9',
    'nvidia-cublas==13.1.0.3',
    'nvidia-cusparse==12.6.3.3',
    'nvidia-cusolver==12.0.4.66',
  ],
  /** Other packages that libtorch loads. */
  libraries: [
    'nvidia-cuda-nvrtc==13.0.88',
    'nvidia-cuda-cupti==13.0.85',
    'nvidia-cudnn-cu13==9.19.0.56',
    'nvidia-cufft==12.0.0.61',
    'nvidia-cufile==1.15.1.6',
    'nvidia-curand==10.4.0.35',
    'nvidia-cusparselt-cu13==0.8.0',
    'nvidia-nvjitlink==13.0.88',
    'nvidia-nvshmem-cu13==3.4.5',
    'nvidia-nvtx==13.0.85',
  ],
};

/**
 * The target's libtorch with the headers that the addon needs, fetched once per machine (1 GB).
 * @param {object} options
 * @param {string} options.cache
 * @param {NodeJS.ProcessEnv} options.env
 * @param {boolean} options.withLibraries  NVIDIA's libraries too (3.7 GB in all): then libtorch can be loaded
 * @param {import('./steps.mjs').Note} options.note
 * @returns {Promise<import('./libtorch.mjs').Libtorch>}
 */
export async function ensureTarget({ cache, env, withLibraries, note }) {
  const folder = join(cache, `torch-${TARGET.version}`);
  const pins = readPins().gpuKit;
  const fetch = (/** @type {string} */ pattern, /** @type {string[]} */ requirements) =>
    fetchWheels({ folder, pattern, requirements, python: TARGET.python, pins, env, note });
  await fetch('torch/(lib/|include/|version\\.py)', [`torch==${TARGET.version.split('+')[0]}`]);
  await fetch('nvidia/.*/include/', TARGET.headers);
  if (withLibraries) await fetch('nvidia/.*/lib/', [...TARGET.headers, ...TARGET.libraries]);
  const libtorch = inspectLibtorch(join(folder, 'torch'));
  if (libtorch.version === TARGET.version && existsSync(join(libtorch.path, 'lib/libtorch_cuda.so')))
    return libtorch;
  throw new SetupError(
    `pip downloaded torch ${libtorch.version}, but the GPU machine has ${TARGET.version}.`,
    {
      hint: `Delete ${folder}, and let pip use an index that has the CUDA build (PIP_INDEX_URL).`,
    },
  );
}
