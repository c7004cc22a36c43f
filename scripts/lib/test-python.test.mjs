import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureTestPython } from './test-python.mjs';
import { pathOf, temporaryFolder, writeFiles } from './testing.mjs';

/**
 * A fake python3; an environment that it creates is a copy of itself. It has torch 2.13.0 if `torch` is set; `pip` and `timm`
 * are the scripts that run for pip and for imports of timm.
 * @param {{ torch?: boolean, pip?: string, timm?: string, venv?: string }} [options]
 */
function pythonOf({ torch = true, pip = 'exit 0', timm = 'exit 0', venv = 'exit 0' } = {}) {
  return `for last; do :; done
case "$*" in
--version) echo 'Python 3.11.7';;
*"-m venv"*)
  case "$*" in *--without-pip*) ;; *) (${venv}) || exit 1;; esac
  /bin/mkdir -p "$last/bin" "$last/site/torchvision"
  : > "$last/site/torchvision/extension.py"
  /bin/cp "$0" "$last/bin/python";;
*purelib*) echo "\${0%/bin/*}/site";;
*version*torch*) ${torch ? "echo '2.13.0+cpu'" : 'exit 1'};;
*find_spec*) echo "\${0%/bin/*}/site/torchvision";;
*"import torch, timm"*) ${timm};;
*pip*) echo "$@" > "\${DI_CALLS:-/dev/null}"; ${pip};;
*) exit 9;;
esac`;
}

/** @param {string | undefined} python @param {{ provide?: boolean, cache?: string, env?: Record<string, string> }} [options] */
async function ensure(python, { provide = true, cache = temporaryFolder(), env = {} } = {}) {
  const path = writeFiles(temporaryFolder(), { 'torch/version.py': '' });
  /** @type {string[]} */
  const notes = [];
  const calls = join(cache, 'calls');
  const result = await ensureTestPython({
    env: { PATH: python === undefined ? '' : pathOf({ python3: python }), DI_CALLS: calls, ...env },
    cache,
    provide,
    libtorch: { path: join(path, 'torch'), version: '2.13.0+cpu', cuda: false, cxx11Abi: true },
    note: (text) => notes.push(text),
  });
  const folder = join(cache, 'test-python');
  return { result, notes, folder, path, call: () => readFileSync(calls, 'utf8') };
}

describe('ensureTestPython', () => {
  it('creates an environment that uses the torch of the set-up, and announces it', async () => {
    const { result, notes, folder, path, call } = await ensure(pythonOf());
    expect(result).toBe(`Python 3.11.7 in ${folder}`);
    expect(notes).toEqual([
      expect.stringMatching(/^Python packages for tests into .* \(--no-install|500 MB/),
    ]);
    expect(readFileSync(join(folder, 'site/libtorch.pth'), 'utf8')).toBe(`${path}\n`);
    expect(call()).toMatch(/ install .*tensorboard.* timm.* torch==2\.13\.0\+cpu$/m);
    expect(readFileSync(join(folder, 'site/torchvision/extension.py'), 'utf8')).toContain('torchvision::');
  });

  it('is created once', async () => {
    const cache = temporaryFolder();
    const env = { PATH: pathOf({ python3: pythonOf() }) };
    const libtorch = { path: '/x/torch', version: '1', cuda: false, cxx11Abi: true };
    /** @type {string[]} */
    const notes = [];
    const note = (/** @type {string} */ text) => notes.push(text);
    const first = await ensureTestPython({ env, cache, provide: true, libtorch, note });
    expect(await ensureTestPython({ env, cache, provide: false, libtorch, note })).toBe(first);
    expect(notes).toHaveLength(1);
    // Another libtorch needs another environment.
    await ensureTestPython({ env, cache, provide: true, libtorch: { ...libtorch, version: '2' }, note });
    expect(notes).toHaveLength(2);
  });

  it('downloads no torch of its own if libtorch is not a package, and records what is missing', async () => {
    const { result, folder, call } = await ensure(pythonOf({ torch: false }));
    expect(result).toContain('is not a torch package for this Python');
    expect(call()).not.toMatch(/torch|timm/);
    expect(JSON.parse(readFileSync(join(folder, 'complete.json'), 'utf8')).lacks).toContain(
      'not a torch package',
    );
  });

  it('says why timm cannot be imported', async () => {
    const { result } = await ensure(pythonOf({ timm: 'echo "ImportError: wrong Python" >&2; exit 1' }));
    expect(result).toContain('torch, timm or transformers cannot be imported: ImportError: wrong Python');
  });

  it("uses the Python's own pip if environments have none", async () => {
    const { result, folder, call } = await ensure(pythonOf({ venv: 'exit 1' }));
    expect(result).toBe(`Python 3.11.7 in ${folder}`);
    expect(call()).toMatch(/^-m pip --python .*\/bin\/python install /);
  });

  it('leaves nothing behind if pip fails; that is not an error', async () => {
    const { result, folder } = await ensure(pythonOf({ pip: 'echo "ERROR: no timm here" >&2; exit 1' }));
    expect(result).toBe(
      'Python packages could not be installed, their tests are skipped: ERROR: no timm here',
    );
    expect(readdirSync(join(folder, '..'))).toEqual(['calls']);
  });

  it('installs nothing with --no-install, or without a Python', async () => {
    expect(await ensure(pythonOf(), { provide: false })).toMatchObject({
      result: '--no-install: Python packages are not installed, and their tests are skipped',
      notes: [],
    });
    expect((await ensure(undefined)).result).toBe('not found: Python; its tests are skipped');
  });

  it('uses the Python that the user names', async () => {
    const env = { DEEP_INCUBATION_INTEROP_PYTHON: '/my/python' };
    expect(await ensure(pythonOf(), { env })).toMatchObject({ result: '/my/python', notes: [] });
  });
});
