import { homedir } from 'node:os';
import { join } from 'node:path';

/** Folder in which the set-up keeps files that are not part of a clone (scripts/lib/paths.mjs has the same rule). */
export function cacheRoot(env: NodeJS.ProcessEnv = process.env): string {
  if (env.DEEP_INCUBATION_CACHE) return env.DEEP_INCUBATION_CACHE;
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'deep-incubation');
}
