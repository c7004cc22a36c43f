import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { capture, firstOnPath } from './exec.mjs';
import { sha256 } from './paths.mjs';
import { pathOf, silent, temporaryFolder } from './testing.mjs';
import { fetchWheels } from './wheels.mjs';

const real = firstOnPath(['python3'], process.env) ?? 'python3';
const WHEEL = 'torch-2.11.0-cp312.whl';
const MAKE = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + '/torch-2.11.0-cp312.whl', 'w') as wheel:
    for name in ('torch/lib/libc10.so', 'torch/bin/tool', 'torch/version.py'): wheel.writestr(zipfile.ZipInfo(name), name)
`;

/** A Python whose pip writes a wheel of three files, notes its arguments, and may fail. @param {string} folder @param {number} [code] */
function pip(folder, code = 0) {
  const script = `case "$*" in
    *"-m pip"*) echo "$@" >> ${folder}/asked; for last; do [ "$before" = --dest ] && to=$last; before=$last; done
      ${real} -c "${MAKE}" "$to"; echo "ERROR: no such wheel" >&2; exit ${code};;
    *) exec ${real} "$@";;
  esac`;
  return { ...process.env, PATH: `${pathOf({ python3: script })}:${process.env.PATH}` };
}

/** The hash of the wheel that MAKE writes. */
async function pinned() {
  const folder = temporaryFolder();
  await capture(real, ['-c', MAKE, folder]);
  return { [WHEEL]: sha256(readFileSync(join(folder, WHEEL))) };
}

/**
 * @param {NodeJS.ProcessEnv} env @param {string} folder
 * @param {{ pattern?: string, pins?: Record<string, string> }} [options]
 */
async function fetch(env, folder, { pattern = 'torch/(lib/|version\\.py)', pins } = {}) {
  const [requirements, wanted] = [['torch==2.11.0'], pins ?? (await pinned())];
  return fetchWheels({ folder, pattern, requirements, python: '3.12', pins: wanted, env, note: silent });
}

describe('wheels', () => {
  it('are downloaded once for the requested Python, and only the needed files are kept', async () => {
    const [folder, notes] = [temporaryFolder(), temporaryFolder()];
    const env = pip(notes);
    await fetch(env, folder);
    expect(readdirSync(join(folder, 'torch'), { recursive: true }).sort()).toEqual([
      'lib',
      'lib/libc10.so',
      'version.py',
    ]);
    await fetch(env, folder);
    const asked = readFileSync(join(notes, 'asked'), 'utf8').trim().split('\n');
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatch(
      /--no-deps .*--python-version 3\.12 .*--abi cp312 .*manylinux_2_28_x86_64.* torch==2\.11\.0$/,
    );
    await fetch(env, folder, { pattern: 'torch/bin/' });
    expect(existsSync(join(folder, 'torch/bin/tool'))).toBe(true);
    expect(readdirSync(folder).filter((name) => name.startsWith('.wheels'))).toEqual([]);
  });

  it('that pip cannot download are an error with pip’s message, and are tried again', async () => {
    const [folder, notes] = [temporaryFolder(), temporaryFolder()];
    const failing = fetch(pip(notes, 1), folder);
    await expect(failing).rejects.toMatchObject({
      message: 'pip could not download torch==2.11.0.',
      details: expect.stringContaining('no such wheel'),
    });
    await fetch(pip(notes), folder);
    expect(existsSync(join(folder, 'torch/version.py'))).toBe(true);
  });

  it.each([
    [
      'another pin',
      { [WHEEL]: 'f'.repeat(64) },
      /^torch-2\.11\.0-cp312\.whl .* expected f{64}, got [0-9a-f]{64}\.$/,
    ],
    [
      'no pin',
      { 'torch-2.11.0-cp311.whl': 'f'.repeat(64) },
      /^torch-2\.11\.0-cp312\.whl has no pinned SHA-256/,
    ],
  ])('with %s are refused and not unpacked', async (_, pins, sentence) => {
    const folder = temporaryFolder();
    await expect(fetch(pip(temporaryFolder()), folder, { pins })).rejects.toThrow(sentence);
    expect(readdirSync(folder)).toEqual([]);
  });
});
