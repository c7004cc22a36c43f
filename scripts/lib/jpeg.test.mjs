import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findCompiler } from './compiler.mjs';
import { findJpeg } from './jpeg.mjs';
import { temporaryFolder, writeFiles } from './testing.mjs';

const HEADER = `
struct jpeg_error_mgr { int x; };
struct jpeg_decompress_struct { jpeg_error_mgr *err; };
extern "C" jpeg_error_mgr *jpeg_std_error(jpeg_error_mgr *);
extern "C" void jpeg_destroy_decompress(jpeg_decompress_struct *);
#define jpeg_create_decompress(info) ((void)(info))
`;
const LIBRARY = 'void *jpeg_std_error(void *p) { return p; } void jpeg_destroy_decompress(void *p) {}';

/** The compiler, made to find a libjpeg of our own. @param {string} header @param {string} library */
async function compilerWith(header, library = LIBRARY) {
  const folder = writeFiles(temporaryFolder(), { 'jpeglib.h': HEADER + header, 'jpeg.c': library });
  const lib = join(folder, 'lib');
  mkdirSync(lib);
  execFileSync('cc', ['-shared', '-fPIC', '-o', 'lib/libjpeg.so', 'jpeg.c'], { cwd: folder });
  const { command, version } = await findCompiler(process.env);
  return { command: [...command, `-I${folder}`, `-L${lib}`, `-Wl,-rpath,${lib}`], version };
}

describe('findJpeg', () => {
  it('returns the version of a libjpeg-turbo that compiles, links and runs', async () => {
    const header = '#define LIBJPEG_TURBO_VERSION 9.8.7\n#define LIBJPEG_TURBO_VERSION_NUMBER 9008007\n';
    expect(await findJpeg(await compilerWith(header))).toBe('9.8.7');
  });

  it.each([
    ['another libjpeg', '', LIBRARY],
    ['an old one', '#define LIBJPEG_TURBO_VERSION_NUMBER 2000006\n', LIBRARY],
    ['a library without the functions', '#define LIBJPEG_TURBO_VERSION_NUMBER 9008007\n', 'int x;'],
  ])('ignores %s', async (_, header, library) => {
    expect(await findJpeg(await compilerWith(header, library))).toBeUndefined();
  });

  it('treats a compiler without headers as missing', async () => {
    const { command, version } = await findCompiler(process.env);
    expect(await findJpeg({ command: [...command, '-nostdinc'], version })).toBeUndefined();
  });
});
