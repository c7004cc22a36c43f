import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureLibtorch } from './libtorch.mjs';
import { fetchLibtorch } from './libtorch-fetch.mjs';
import { sha256 } from './paths.mjs';
import { pathOf, silent, temporaryFolder, writeFiles } from './testing.mjs';

const NEW_ABI = 'x_ZN3c106detail14torchCheckFailEPKcS2_jRKNSt7__cxx1112basic_stringIcE';
const OLD_ABI = 'x_ZN3c106detail14torchCheckFailEPKcS2_jRKSs';

/** @param {string} version @param {Record<string, string>} [more] */
function torchFiles(version, more = {}) {
  return {
    'version.py': `__version__ = '${version}'\ndebug = False\n`,
    'lib/libtorch_cpu.so': '',
    'lib/libc10.so': NEW_ABI,
    'include/ATen/ATen.h': '',
    ...more,
  };
}

describe('$LIBTORCH', () => {
  it('is used; version, ABI and CUDA build are detected', async () => {
    const cpu = writeFiles(temporaryFolder(), torchFiles('2.13.0+cpu'));
    const cuda = writeFiles(
      temporaryFolder(),
      torchFiles('2.6.0+cu124', { 'lib/libtorch_cuda.so': '', 'lib/libc10.so': OLD_ABI }),
    );
    const where = { cache: temporaryFolder(), note: silent };
    expect(await ensureLibtorch({ ...where, env: { LIBTORCH: cpu } })).toEqual({
      path: cpu,
      version: '2.13.0+cpu',
      cuda: false,
      cxx11Abi: true,
    });
    expect(await ensureLibtorch({ ...where, env: { LIBTORCH: cuda } })).toEqual({
      path: cuda,
      version: '2.6.0+cu124',
      cuda: true,
      cxx11Abi: false,
    });
  });

  it("is refused when too old, as Debian's 1.13 is, whose version is only in its headers", async () => {
    const header =
      '#define TORCH_VERSION_MAJOR 1\n#define TORCH_VERSION_MINOR 13\n#define TORCH_VERSION_PATCH 1\n';
    const usr = writeFiles(temporaryFolder(), { 'include/torch/csrc/api/include/torch/version.h': header });
    const found = ensureLibtorch({ env: { LIBTORCH: usr }, cache: temporaryFolder(), note: silent });
    await expect(found).rejects.toMatchObject({
      message: `LIBTORCH is ${usr}, libtorch 1.13.1; deep-incubation needs 2.6 or newer.`,
      hint: expect.stringContaining('Unset LIBTORCH'),
      exitCode: 2,
    });
  });

  it('compares versions by number', async () => {
    const where = { cache: temporaryFolder(), note: silent };
    const old = writeFiles(temporaryFolder(), torchFiles('2.5.1'));
    const newer = writeFiles(temporaryFolder(), torchFiles('2.10.0a0+git1234'));
    await expect(ensureLibtorch({ ...where, env: { LIBTORCH: old } })).rejects.toThrow('libtorch 2.5.1;');
    expect((await ensureLibtorch({ ...where, env: { LIBTORCH: newer } })).version).toBe('2.10.0a0+git1234');
  });

  it('is refused if it is not a libtorch', async () => {
    const found = ensureLibtorch({
      env: { LIBTORCH: '/nonexistent' },
      cache: temporaryFolder(),
      note: silent,
    });
    await expect(found).rejects.toMatchObject({
      message: 'LIBTORCH is /nonexistent, which has no lib/libtorch_cpu.so or include/torch/.',
      exitCode: 2,
    });
  });
});

describe('the torch of a Python on the PATH', () => {
  it('is preferred to the cache', async () => {
    const torch = writeFiles(temporaryFolder(), torchFiles('2.9.0+cu128'));
    const env = { PATH: pathOf({ python3: 'exit 1', python: `echo ${torch}` }) };
    expect((await ensureLibtorch({ env, cache: temporaryFolder(), note: silent })).path).toBe(torch);
  });

  it('is skipped with a note if it is too old', async () => {
    const old = writeFiles(temporaryFolder(), torchFiles('1.13.1'));
    const cache = temporaryFolder();
    const kept = writeFiles(join(cache, 'libtorch-2.13.0/torch'), torchFiles('2.13.0+cpu'));
    const env = { PATH: pathOf({ python3: `echo ${old}` }) };
    /** @type {string[]} */
    const notes = [];
    const found = await ensureLibtorch({ env, cache, note: (text) => notes.push(text) });
    expect(found.path).toBe(kept);
    expect(notes).toEqual([expect.stringMatching(/^ignoring torch 1\.13\.1 of .*python3: 2\.6 or newer/)]);
  });
});

const WHEEL = 'torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl';
const NVIDIA = `nvidia_nccl_cu13-2.30.7-py3-none-manylinux_2_18_${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.whl`;
const pins = { libtorch: { [WHEEL]: sha256('torch') }, nvidia: { [NVIDIA]: sha256('nccl') }, gpuKit: {} };

/**
 * A python3 whose `pip download` runs one script, with "$target" as the folder of --dest, and whose `pip install`
 * runs another, with that of --target.
 * @param {{ download?: string, install?: string }} pip
 */
function pythonWithPip({ download = DOWNLOAD, install = INSTALL }) {
  const findTarget = 'for a; do case "$previous" in --target|--dest) target=$a;; esac; previous=$a; done';
  return pathOf({
    python3: `case "$*" in *--version) exit 0;; -c*) exit 0;; esac\n${findTarget}
case "$*" in *" download "*) /bin/mkdir -p "$target"; ${download};; *) ${install};; esac`,
  });
}

const DOWNLOAD = `case "$*" in *nvidia*) printf nccl > "$target/${NVIDIA}";; *) printf torch > "$target/${WHEEL}";; esac`;

const INSTALL = `
/bin/mkdir -p "$target/torch/lib" "$target/torch/include/ATen"
: > "$target/torch/lib/libtorch_cpu.so"
: > "$target/torch/lib/libc10.so"
: > "$target/torch/include/ATen/ATen.h"
echo "__version__ = '2.13.0'" > "$target/torch/version.py"`;

describe('fetching', () => {
  it('installs the verified wheel into the cache, and uses the cache the next time', async () => {
    const cache = temporaryFolder();
    const env = { PATH: pythonWithPip({}) };
    const found = await ensureLibtorch({ env, cache, note: silent, pins });
    expect(found).toMatchObject({ path: join(cache, 'libtorch-2.13.0/torch'), version: '2.13.0' });
    expect(readdirSync(join(cache, 'libtorch-2.13.0'))).toEqual(['torch']);
    expect(await ensureLibtorch({ env: { PATH: '' }, cache, note: silent })).toEqual(found);
  });

  it("asks for Python 3.11's wheel, whose hash is pinned, whatever the Python at hand is", async () => {
    const refuse = 'echo "ERROR: No matching distribution found for torch==2.13.0" >&2; exit 1';
    const download = `case "$*" in *"--python-version 3.11"*) ;; *) ${refuse};; esac\n${DOWNLOAD}`;
    const cache = temporaryFolder();
    await ensureLibtorch({ env: { PATH: pythonWithPip({ download }) }, cache, note: silent, pins });
    expect(readdirSync(cache)).toEqual(['libtorch-2.13.0']);
  });

  const CUDA = `case "$*" in *nvidia*) echo "$@" > "$target/asked"; exit 0;; esac\n${INSTALL}
: > "$target/torch/lib/libtorch_cuda.so"`;

  it('fetches the pinned NVIDIA libraries of a CUDA build', async () => {
    const folder = join(temporaryFolder(), 'libtorch');
    const download = `${DOWNLOAD}\necho "$@" >> "$target/../../asked"`;
    const env = { PATH: pythonWithPip({ download, install: CUDA }) };
    await fetchLibtorch({ folder, env, note: silent, pins });
    expect(readFileSync(join(folder, '../asked'), 'utf8').trim().split('\n')).toEqual([
      expect.stringMatching(/ torch==2\.13\.0$/),
      expect.stringMatching(/ --no-deps .* nvidia-nccl-cu13==2\.30\.7$/),
    ]);
    expect(readFileSync(join(folder, 'asked'), 'utf8')).toContain(`/.wheels/${NVIDIA}`);
  });

  it.each([
    [
      'a tampered wheel of torch',
      { download: `${DOWNLOAD}; printf x >> "$target/${WHEEL}"`, install: INSTALL },
      WHEEL,
      'torch',
    ],
    [
      'a tampered wheel of NVIDIA',
      {
        download: `${DOWNLOAD}; case "$*" in *nvidia*) printf x >> "$target/${NVIDIA}";; esac`,
        install: CUDA,
      },
      NVIDIA,
      'nccl',
    ],
    ['an empty wheel', { download: `: > "$target/${WHEEL}"`, install: INSTALL }, WHEEL, 'torch', ''],
  ])(
    'refuses %s before pip unpacks it, and keeps nothing',
    async (_, scripts, name, good, bad = `${good}x`) => {
      const cache = temporaryFolder();
      const installed = join(temporaryFolder(), 'installed');
      const install = `echo "$@" >> ${installed}\n${scripts.install}`;
      const env = { PATH: pythonWithPip({ ...scripts, install }) };
      await expect(ensureLibtorch({ env, cache, note: silent, pins })).rejects.toMatchObject({
        message: `${name} does not match its pinned SHA-256 and was not installed: expected ${sha256(good)}, got ${sha256(bad)}.`,
        hint: expect.stringContaining('pip cache purge'),
      });
      expect(readdirSync(cache)).toEqual([]);
      if (existsSync(installed)) expect(readFileSync(installed, 'utf8')).not.toContain(name);
    },
  );

  it('refuses a wheel without a pin, such as a build for another CUDA', async () => {
    const other = WHEEL.replace('2.13.0', '2.13.0+cu126');
    const env = { PATH: pythonWithPip({ download: `printf torch > "$target/${other}"` }) };
    await expect(ensureLibtorch({ env, cache: temporaryFolder(), note: silent, pins })).rejects.toMatchObject(
      {
        message: `${other} has no pinned SHA-256, so it was not installed.`,
        hint: expect.stringContaining('set LIBTORCH'),
      },
    );
  });

  it.each([
    [
      'echo "WARNING: Retrying (Retry(total=4)) after connection broken" >&2; exit 1',
      /^pip could not reach its index/,
    ],
    ['echo "ERROR: [Errno 28] No space left on device" >&2; exit 1', /^the disk became full/],
    ['echo "ERROR: torch is not for this platform" >&2; exit 1', /: torch is not for this platform$/],
  ])('leaves nothing behind when pip fails: %s', async (failure, sentence) => {
    for (const scripts of [{ download: failure }, { install: `${INSTALL}\n${failure}` }]) {
      const cache = temporaryFolder();
      const env = { PATH: pythonWithPip(scripts) };
      await expect(ensureLibtorch({ env, cache, note: silent, pins })).rejects.toThrow(sentence);
      expect(readdirSync(cache)).toEqual([]);
    }
  });

  it('says what to install if Python or pip is missing', async () => {
    const where = { cache: temporaryFolder(), note: silent };
    await expect(ensureLibtorch({ ...where, env: { PATH: '' } })).rejects.toMatchObject({
      message: 'libtorch was not found, and downloading it needs Python.',
      hint: expect.stringContaining('apt-get install python3-pip'),
    });
    await expect(
      ensureLibtorch({ ...where, env: { PATH: pathOf({ python3: 'exit 1' }) } }),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/python3 has no pip to download it\.$/),
      hint: expect.stringContaining('apt-get install python3-pip'),
    });
  });

  it('does not start without enough disk space', async () => {
    const folder = join(temporaryFolder(), 'libtorch');
    const fetched = fetchLibtorch({ folder, env: { PATH: '' }, note: silent, freeBytes: 1.9e9 });
    await expect(fetched).rejects.toMatchObject({
      message: `libtorch needs 2 GB of disk space, but ${folder} has only 1.9 GB.`,
      hint: expect.stringContaining('DEEP_INCUBATION_CACHE'),
    });
    expect(existsSync(folder)).toBe(false);
  });
});
