import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cudaHeaders } from './cuda.mjs';
import { temporaryFolder, writeFiles } from './testing.mjs';

const ALL = [
  'nccl.h',
  'crt/host_config.h',
  'cuda_runtime_api.h',
  'nv/target',
  'cublas_v2.h',
  'cusparse.h',
  'cusolverDn.h',
];

/** @param {string[]} headers @param {string} below */
const files = (headers, below) => Object.fromEntries(headers.map((name) => [`${below}/${name}`, '']));

/**
 * What is found for a libtorch with these headers beside it, and with this toolkit in its usual place.
 * @param {{ version?: string, beside?: string[], toolkit?: string[], toolkitVersion?: number, env?: NodeJS.ProcessEnv }} options
 */
function find({ version = '2.11.0+cu130', beside = [], toolkit, toolkitVersion = 13000, env = {} }) {
  const site = writeFiles(temporaryFolder(), { 'torch/lib/x': '', ...files(beside, 'nvidia/cu13/include') });
  const usual = toolkit
    ? writeFiles(temporaryFolder(), {
        ...files(toolkit, 'include'),
        'include/cuda.h': `#define CUDA_VERSION ${toolkitVersion}\n`,
      })
    : join(site, 'none');
  const libtorch = { path: join(site, 'torch'), version, cuda: version.includes('cu'), cxx11Abi: true };
  /** @type {string[]} */
  const notes = [];
  const { hasNccl, folders } = cudaHeaders({ libtorch, env, usual, note: (text) => notes.push(text) });
  return { hasNccl, folders: folders.length, notes: notes.join('\n') };
}

describe("CUDA's and NCCL's headers", () => {
  it('found next to libtorch are used without a message', () => {
    expect(find({ beside: ALL })).toEqual({ hasNccl: true, folders: 1, notes: '' });
    expect(find({ version: '2.13.0+cpux' })).toEqual({ hasNccl: false, folders: 0, notes: '' });
  });

  it('without crt/, as in the wheels, are not enough: the set-up says so and what to install', () => {
    const { hasNccl, folders, notes } = find({ beside: ALL.filter((name) => !name.startsWith('crt/')) });
    expect({ hasNccl, folders }).toEqual({ hasNccl: false, folders: 0 });
    expect(notes).toContain(
      'without NCCL, which training one phase on several GPUs needs: crt/host_config.h not found',
    );
    expect(notes).toContain('pip install nvidia-cuda-crt==13.0.*');
    expect(notes).toContain('CUDA_HOME to a CUDA toolkit 13.0');
  });

  it('of CUDA 12 are requested if libtorch was built for CUDA 12', () => {
    const { notes } = find({ version: '2.6.0+cu124', beside: ['cublas_v2.h', 'cusparse.h', 'cusolverDn.h'] });
    expect(notes).toContain('nccl.h, crt/host_config.h, cuda_runtime_api.h, nv/target not found');
    expect(notes).toContain(
      'pip install nvidia-nccl-cu12 nvidia-cuda-nvcc-cu12==12.4.* nvidia-cuda-runtime-cu12==12.4.* nvidia-cuda-cccl-cu12==12.4.*',
    );
  });

  it('may come from a toolkit of the same major version', () => {
    const some = { beside: ['nccl.h'], toolkit: ALL.slice(1) };
    expect(find({ ...some, toolkitVersion: 13010 })).toEqual({ hasNccl: true, folders: 2, notes: '' });
  });

  it('of another major version are skipped with a message', () => {
    const { hasNccl, notes } = find({ beside: ['nccl.h'], toolkit: ALL.slice(1), toolkitVersion: 12040 });
    expect(hasNccl).toBe(false);
    expect(notes).toMatch(/ignoring the CUDA 12 toolkit in .*: libtorch is built for CUDA 13\.0/);
    const home = writeFiles(temporaryFolder(), files(ALL, 'include'));
    writeFiles(home, { 'include/cuda.h': '#define CUDA_VERSION 12040\n' });
    expect(find({ env: { CUDA_HOME: home } })).toMatchObject({
      hasNccl: false,
      notes: expect.stringContaining(home),
    });
  });

  it('in a folder without a version are accepted, such as nvidia-cuda-crt only', () => {
    const home = writeFiles(temporaryFolder(), files(['crt/host_config.h'], 'include'));
    const beside = ALL.filter((name) => !name.startsWith('crt/'));
    expect(find({ beside, env: { CUDA_HOME: home } })).toMatchObject({ hasNccl: true, notes: '' });
  });
});
