import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureAddon } from './addon.mjs';
import { findCompiler } from './compiler.mjs';
import { findJpeg } from './jpeg.mjs';
import { root } from './paths.mjs';
import { silent, temporaryFolder, writeFiles } from './testing.mjs';

const ADDON = `
#include <node_api.h>
#include "name.h"
extern "C" int cpu();
NAPI_MODULE_INIT() {
  napi_value text;
  napi_create_string_utf8(env, cpu() == 7 ? NAME : "", NAPI_AUTO_LENGTH, &text);
  return text;
}
`;

/** A project of one source, and a libtorch of one function. */
function project() {
  const folder = temporaryFolder();
  writeFiles(folder, { 'package.json': '{}', 'native/a.cc': ADDON, 'native/name.h': '#define NAME "one"\n' });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const path = writeFiles(temporaryFolder(), { 'a.c': 'int cpu() { return 7; }', 'b.c': '' });
  mkdirSync(join(path, 'lib'));
  for (const [name, source] of [
    ['torch_cpu', 'a.c'],
    ['torch', 'b.c'],
    ['c10', 'b.c'],
  ]) {
    execFileSync('cc', ['-shared', '-fPIC', '-o', `lib/lib${name}.so`, `${source}`], { cwd: path });
  }
  const libtorch = { path, version: '2.13.0', cuda: false, cxx11Abi: true };
  return { root: folder, cache: temporaryFolder(), env: process.env, libtorch, note: silent };
}

/** @param {string} folder */
function load(folder) {
  return createRequire(import.meta.url)(join(folder, 'native/build/deep_incubation.node'));
}

describe('ensureAddon', () => {
  it('compiles once, then uses the existing addon, then the cache; a changed header compiles again', async () => {
    const options = project();
    const build = join(options.root, 'native/build');
    expect(await ensureAddon(options)).toMatch(/^compiled with /);
    expect(load(options.root)).toBe('one');
    expect(JSON.parse(readFileSync(join(build, 'info.json'), 'utf8'))).toMatchObject({
      addon: 'deep_incubation.node',
      libtorch: options.libtorch,
      jpeg: (await findJpeg(await findCompiler(process.env))) ?? null,
    });
    expect(await ensureAddon(options)).toBe('up to date');
    rmSync(build, { recursive: true });
    expect(await ensureAddon(options)).toBe('from the cache');
    writeFileSync(join(options.root, 'native/name.h'), '#define NAME "two"\n');
    expect(await ensureAddon(options)).toMatch(/^compiled with /);
  });

  it("compiles again if the compiler's own flags change, whatever is cached", async () => {
    const options = project();
    await ensureAddon(options);
    const env = { ...process.env, CXX: 'c++ -O1' };
    expect(await ensureAddon({ ...options, env })).toMatch(/^compiled with /);
    expect(await ensureAddon({ ...options, env })).toBe('up to date');
    expect(await ensureAddon(options)).toBe('from the cache');
  });

  it('uses what another clone has built and cached', async () => {
    const first = project();
    expect(await ensureAddon(first)).toMatch(/^compiled with /);
    const second = { ...project(), cache: first.cache, libtorch: first.libtorch };
    expect(await ensureAddon(second)).toBe('from the cache');
    expect(load(second.root)).toBe('one');
  });

  it('builds without libjpeg-turbo if it is missing, and again once it is installed', async () => {
    const source = `${ADDON}\n#ifdef INCUBATION_JPEG\n#error "a libjpeg-turbo"\n#endif\n`;
    const options = project();
    writeFiles(options.root, { 'native/a.cc': source });
    const without = writeFiles(temporaryFolder(), { 'jpeglib.h': '#error "not this one"' });
    const env = { ...process.env, CXX: `c++ -I${without}` };
    expect(await ensureAddon({ ...options, env })).toMatch(/^compiled with /);
    expect(JSON.parse(readFileSync(join(options.root, 'native/build/info.json'), 'utf8')).jpeg).toBe(null);
    if ((await findJpeg(await findCompiler(process.env))) === undefined) return;
    await expect(ensureAddon(options)).rejects.toMatchObject({
      details: expect.stringContaining('a libjpeg-turbo'),
    });
  });

  it('shows the first compiler errors and the path of the log', async () => {
    const options = project();
    writeFileSync(join(options.root, 'native/a.cc'), 'int f() { return undeclared; }\n');
    const log = join(options.root, 'native/build/compile.log');
    await expect(ensureAddon(options)).rejects.toMatchObject({
      message: expect.stringMatching(/a\.cc failed to compile; the full output is in .*compile\.log\.$/),
      details: expect.stringMatching(/a\.cc:1:\d+: error: .*undeclared/),
    });
    expect(readFileSync(log, 'utf8')).toContain('-std=c++20');
  });

  it('does not keep an addon that does not load', async () => {
    const options = project();
    writeFileSync(join(options.root, 'native/a.cc'), `${ADDON}\nint absent();\nint kept = absent();\n`);
    await expect(ensureAddon(options)).rejects.toThrow(
      /^the addon failed to load: .*undefined symbol: _Z6absentv/,
    );
    expect(existsSync(join(options.root, 'native/build/deep_incubation.node'))).toBe(false);
  });
});

describe('findCompiler', () => {
  it('says what to install if there is none', async () => {
    await expect(findCompiler({ PATH: '/nonexistent' })).rejects.toMatchObject({
      message: 'there is no C++ compiler.',
      hint: expect.stringContaining('apt-get install g++'),
      exitCode: 1,
    });
  });

  it('uses CXX with its flags, and refuses a missing one', async () => {
    const { command } = await findCompiler({ PATH: process.env.PATH, CXX: 'c++ -m64' });
    expect(command).toEqual([expect.stringMatching(/\/c\+\+$/), '-m64']);
    await expect(findCompiler({ PATH: process.env.PATH, CXX: 'no-such-compiler' })).rejects.toMatchObject({
      message: 'CXX is no-such-compiler, which is not on the PATH.',
      exitCode: 2,
    });
  });
});
