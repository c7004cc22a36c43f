import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { capture } from './exec.mjs';

/** Before 2.1 libjpeg-turbo smooths unfinished progressive files in another way than Pillow's does. */
const PROBE = `
#include <cstdio>
#include <jpeglib.h>
#if !defined(LIBJPEG_TURBO_VERSION_NUMBER) || LIBJPEG_TURBO_VERSION_NUMBER < 2001000
#error "needs libjpeg-turbo 2.1"
#endif
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
int main() {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&info);
  jpeg_destroy_decompress(&info);
  std::puts(TEXT(LIBJPEG_TURBO_VERSION));
}
`;

/**
 * The version of the libjpeg-turbo that this compiler finds, with its headers, or nothing: a program that uses
 * it is compiled, linked and run.
 * @param {import('./compiler.mjs').Compiler} compiler
 * @returns {Promise<string | undefined>}
 */
export async function findJpeg(compiler) {
  const folder = mkdtempSync(join(tmpdir(), 'jpeg-probe-'));
  try {
    const [source, program] = [join(folder, 'probe.cc'), join(folder, 'probe')];
    writeFileSync(source, PROBE);
    const [command = '', ...own] = compiler.command;
    const compiled = await capture(command, [...own, '-std=c++20', source, '-o', program, ...JPEG.link]);
    if (compiled.code !== 0) return undefined;
    const { code, stdout } = await capture(program, []);
    return code === 0 ? stdout.trim() : undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What a compilation with it needs. */
export const JPEG = { compile: ['-DINCUBATION_JPEG'], link: ['-ljpeg'] };
