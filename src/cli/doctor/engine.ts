import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { errorText, InputError } from '../../base/errors.js';
import { collectives } from '../../torch/collective.js';
import { engineInfo, useDevice } from '../../torch/engine.js';
import { gpusOfDriver } from '../../torch/gpu-count.js';
import { hasNativeBfloat16, precisionOn } from '../../torch/precision.js';
import type { Findings, Problem } from './findings.js';

/** libtorch: its version, path and devices. */
export function findEngine(): Findings & { readonly works: boolean } {
  const built = buildInfo();
  const where = built?.libtorch?.path ?? null;
  try {
    const info = engineInfo();
    const gpus = Array.from({ length: info.cudaDevices }, (_, i) => `cuda:${i}`);
    const devices = ['cpu', ...gpus];
    const hasNccl = collectives().includes('nccl');
    const precisions = devices.map((device) => ({ device, auto: precisionOn(device, 'auto', isNativeOn) }));
    return {
      works: true,
      facts: {
        libtorch: {
          version: info.libtorch,
          path: where,
          cuda: built?.libtorch?.cuda ?? null,
          cuda_version: info.cuda || null,
          nccl: hasNccl,
          compiler: built?.compiler ?? null,
        },
        devices,
        precision: Object.fromEntries(precisions.map(({ device, auto }) => [device, auto])),
        threads: info.threads,
        cpu_capability: info.cpuCapability,
        blas: { mkl: info.mkl, onednn: info.mkldnn, openmp: info.openmp },
      },
      lines: [
        ['libtorch', `${info.libtorch}${where === null ? '' : `, ${where}`}`],
        [
          'CUDA',
          info.cuda
            ? `${info.cuda}, ${hasNccl ? 'with' : 'without'} NCCL`
            : 'none: this libtorch is a CPU build',
        ],
        ['devices', devices.join(', ')],
        ['precision', `auto is ${precisions.map(({ device, auto }) => `${auto} on ${device}`).join(', ')}`],
        ['threads', `${info.threads}, ${info.openmp}`],
        ['BLAS', [info.mkl, info.mkldnn].join('; ')],
        ['kernels', info.cpuCapability],
      ],
      problems: [
        ...gpuProblems(info.cudaDevices, Boolean(info.cuda)),
        ...(info.cuda && !hasNccl ? [NO_NCCL] : []),
      ],
    };
  } catch (error) {
    return {
      works: false,
      facts: {
        libtorch: { version: built?.libtorch?.version ?? null, path: where, error: errorText(error) },
        devices: [],
      },
      lines: [['libtorch', 'not usable, see below']],
      problems: [
        {
          what: errorText(error),
          hint: (error instanceof InputError ? error.hint : undefined) ?? 'run `npx deep-incubation setup`',
          blocking: true,
        },
      ],
    };
  }
}

/** Makes a GPU the current one, and asks it. */
function isNativeOn(device: string): boolean {
  useDevice(device);
  return hasNativeBfloat16(device);
}

const NO_NCCL: Problem = {
  what: 'the addon was built without NCCL: training one phase on several GPUs (run.ranks) is not possible',
  hint: '`npx deep-incubation setup` names the missing headers and how to install them',
  blocking: false,
};

function gpuProblems(seen: number, builtForCuda: boolean): Problem[] {
  const gpus = gpusOfDriver();
  if (seen >= gpus) return [];
  const hint = builtForCuda
    ? 'check the driver with `nvidia-smi`: it may be older than this libtorch needs'
    : 'this libtorch is a CPU build: install a CUDA build of torch, or set LIBTORCH to one, then run `npx deep-incubation setup`';
  return [
    {
      what: `the driver shows ${gpus} GPU${gpus > 1 ? 's' : ''}, libtorch sees ${seen}`,
      hint,
      blocking: false,
    },
  ];
}

const schema = z.object({
  libtorch: z.object({ path: z.string(), version: z.string(), cuda: z.boolean() }).partial(),
  /** Version of libjpeg-turbo; null if it was not found. */
  jpeg: z.string().nullable().optional(),
  compiler: z.string().optional(),
});

/** The set-up script's record of the addon that it built; undefined if the record is missing or invalid. */
export function buildInfo(): z.infer<typeof schema> | undefined {
  const url = new URL('../../../native/build/info.json', import.meta.url);
  if (!existsSync(url)) return undefined;
  try {
    return schema.safeParse(JSON.parse(readFileSync(url, 'utf8'))).data;
  } catch {
    return undefined;
  }
}
