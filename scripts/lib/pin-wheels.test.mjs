import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TARGET } from './gpu-target.mjs';
import { FETCHED_VERSION } from './libtorch-fetch.mjs';
import { pinWheels } from './pin-wheels.mjs';
import { readPins, requirementsOf } from './pins.mjs';
import { pathOf, temporaryFolder } from './testing.mjs';

/** A pip that answers each machine's report with these wheels. @param {Record<string, Record<string, string>>} wheels */
function pipOf(wheels) {
  const reports = Object.entries(wheels).map(([machine, pins]) => {
    const install = Object.entries(pins).map(([name, sha256]) => ({
      download_info: { url: `file:///${encodeURIComponent(name)}`, archive_info: { hashes: { sha256 } } },
    }));
    return `*_${machine}*) echo '${JSON.stringify({ install })}';;`;
  });
  return { PATH: pathOf({ python3: `case "$*" in ${reports.join(' ')} esac` }) };
}

const torch = (/** @type {string} */ machine, build = '') =>
  `torch-${FETCHED_VERSION}${build}-cp311-cp311-manylinux_2_28_${machine}.whl`;
const old = { ...readPins(), libtorch: { 'torch-2.0.0-x_x86_64.whl': 'a', [torch('x86_64', '+cpu')]: 'b' } };

describe('pinWheels', () => {
  it('pins torch and its NVIDIA libraries, and drops other versions and other packages', async () => {
    const to = join(temporaryFolder(), 'pins.json');
    const env = pipOf({
      x86_64: {
        [torch('x86_64')]: 'c',
        'nvidia_nccl_cu13-2.0-py3-none-linux_x86_64.whl': 'd',
        'sympy-1-any.whl': 'e',
      },
      aarch64: { [torch('aarch64')]: 'f' },
    });
    const nvidia = { 'nvidia_nccl_cu13-1.0-x_x86_64.whl': 'g', 'nvidia_nccl_cu13-1.0-x_aarch64.whl': 'h' };
    const lines = await pinWheels({ env, to, old: { ...old, nvidia } });
    expect(JSON.parse(readFileSync(to, 'utf8'))).toEqual({
      libtorch: { [torch('x86_64', '+cpu')]: 'b', [torch('x86_64')]: 'c', [torch('aarch64')]: 'f' },
      nvidia: {
        'nvidia_nccl_cu13-2.0-py3-none-linux_x86_64.whl': 'd',
        'nvidia_nccl_cu13-1.0-x_aarch64.whl': 'h',
      },
      gpuKit: old.gpuKit,
    });
    expect(lines).toContain('- libtorch: torch-2.0.0-x_x86_64.whl');
    expect(lines).toContain(`+ libtorch: ${torch('x86_64')}`);
  });

  it('refuses another hash for a pinned file', async () => {
    const env = pipOf({ x86_64: { [torch('x86_64', '+cpu')]: 'z' }, aarch64: {} });
    const to = join(temporaryFolder(), 'pins.json');
    await expect(pinWheels({ env, to, old })).rejects.toThrow(
      'has another SHA-256 than before: pinned b, got z.',
    );
  });
});

describe('the pins', () => {
  const pins = readPins();

  it('are SHA-256 digests of wheels', () => {
    for (const group of Object.values(pins)) {
      for (const [name, hash] of Object.entries(group)) {
        expect(name).toMatch(/\.whl$/);
        expect(hash).toMatch(/^[0-9a-f]{64}$/);
      }
    }
  });

  it('cover CPU and CUDA builds of the version that is downloaded, for both processors', () => {
    const wanted = ['x86_64', 'aarch64'].flatMap((machine) => [torch(machine), torch(machine, '+cpu')]);
    expect(Object.keys(pins.libtorch).sort()).toEqual(wanted.sort());
    const names = requirementsOf(pins.nvidia, 'x64').map((requirement) => requirement.split('==')[0]);
    expect(names).toContain('nvidia-nccl-cu13');
    expect(requirementsOf(pins.nvidia, 'arm64').map((name) => name.split('==')[0])).toEqual(names);
  });

  it("cover the GPU kit's wheels", () => {
    const wanted = [`torch==${TARGET.version.split('+')[0]}`, ...TARGET.headers, ...TARGET.libraries];
    expect(requirementsOf(pins.gpuKit, 'x64').sort()).toEqual(wanted.sort());
  });
});
