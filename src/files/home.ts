import { homedir } from 'node:os';
import { join } from 'node:path';

/** Expands `~` or a leading `~/` to the user's home folder, as a shell does. */
export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}

/** Expands `~` in command-line arguments: shells do not expand it in `--out=~/runs`. */
export function expandHomeInArguments(args: readonly string[]): string[] {
  return args.map((arg) => {
    const flag = /^--[\w-]+=(?=~)/.exec(arg)?.[0] ?? '';
    return flag + expandHome(arg.slice(flag.length));
  });
}

/** Folder in which the set-up keeps files that are not part of a clone (scripts/lib/paths.mjs has the same rule). */
export function cacheRoot(env: NodeJS.ProcessEnv = process.env): string {
  if (env.DEEP_INCUBATION_CACHE) return env.DEEP_INCUBATION_CACHE;
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'deep-incubation');
}
