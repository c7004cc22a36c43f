import { existsSync } from 'node:fs';

/** The first path that does not exist: the given one, or `name-2.ext`, `name-3.ext` ... */
export function freePath(path: string): string {
  const [, stem, suffix] = /^(.*?)((?:\.\w+)*)$/s.exec(path) ?? [path, path, ''];
  let free = path;
  for (let n = 2; existsSync(free); n++) free = `${stem}-${n}${suffix}`;
  return free;
}
