import { homedir } from 'node:os';
import { join } from 'node:path';

/** A path that begins with `~/` from the user's home folder, as a shell has it; others as they are. */
export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}

/** Arguments of a command line; shells leave the `~` in `--out=~/runs` as it is. */
export function expandHomeInArguments(args: readonly string[]): string[] {
  return args.map((arg) => {
    const flag = /^--[\w-]+=(?=~)/.exec(arg)?.[0] ?? '';
    return flag + expandHome(arg.slice(flag.length));
  });
}
