import { existsSync, readFileSync } from 'node:fs';

/** Versions of this program, Node and libtorch; `libtorch` is missing until the set-up has run. */
export function versions(): Record<string, string> {
  const { version } = readJson('../../package.json') as { version: string };
  const built = readJson('../../native/build/info.json') as { libtorch?: { version?: string } } | undefined;
  const libtorch = built?.libtorch?.version;
  return { 'deep-incubation': version, node: process.versions.node, ...(libtorch ? { libtorch } : {}) };
}

function readJson(path: string): unknown {
  const url = new URL(path, import.meta.url);
  return existsSync(url) ? JSON.parse(readFileSync(url, 'utf8')) : undefined;
}
