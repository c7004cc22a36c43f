import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { RunError } from '../base/errors.js';

/** A file of the page, held in memory, so that a request can never select a path on disk. */
export interface Asset {
  readonly type: string;
  readonly plain: Uint8Array<ArrayBuffer>;
  readonly gzip: Uint8Array<ArrayBuffer>;
  readonly br: Uint8Array<ArrayBuffer>;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Possible folders of the built page: next to the compiled server, or, if run from source, the build's output folder. */
const PLACES = ['../web/', '../../dist/web/'].map((place) => fileURLToPath(new URL(place, import.meta.url)));

/**
 * The files of the built page by URL path.
 * @throws RunError if the page was not built
 */
export function readAssets(
  root = PLACES.find((place) => existsSync(join(place, 'index.html'))),
): Map<string, Asset> {
  if (root === undefined) {
    throw new RunError('The page is not built.', { hint: 'In a clone, run `npm run build`.' });
  }
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
    (name) => extname(name) in TYPES,
  );
  return new Map(files.map((name) => [name === 'index.html' ? '/' : `/${name}`, assetOf(join(root, name))]));
}

function assetOf(path: string): Asset {
  const plain = new Uint8Array(readFileSync(path));
  return {
    type: TYPES[extname(path)],
    plain,
    gzip: new Uint8Array(gzipSync(plain)),
    br: new Uint8Array(brotliCompressSync(plain)),
  };
}
