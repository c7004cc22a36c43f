import { isAbsolute } from 'node:path';

/** That a path of a recipe or a command is not there; of a relative one, from where it was looked for. */
export function absent(path: string): string {
  return `${path} does not exist${isAbsolute(path) ? '' : ` in ${process.cwd()}`}`;
}
