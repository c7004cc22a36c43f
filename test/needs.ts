import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'vitest';
import packages from '../scripts/lib/system-packages.json' with { type: 'json' };
import { cacheRoot } from '../src/files/home.js';

// Programs and packages that tests need. If one is missing, the test is skipped with a reason: `npm test` counts skips by
// reason, and in CI a skip is a failure unless the need is optional. A skip without a reason is always a failure in CI.

declare module 'vitest' {
  interface TaskMeta {
    /** Why the test was skipped, and how to provide what is missing. */
    skipReason?: string;
    /** The skip is not a failure in CI, because a machine may lack the needed item. */
    skipOptional?: boolean;
  }
}

export interface Need {
  /** Why it is missing; undefined if it is available. */
  readonly missing: string | undefined;
  /** Whether it may be missing in CI. */
  readonly optional?: boolean;
}

/** Options of a test or a suite that is skipped if something is missing. */
export function needs(...all: readonly Need[]) {
  const need = all.find(({ missing }) => missing !== undefined);
  if (need === undefined) return {};
  return { skip: true, meta: metaOf(need) };
}

/** Skips the running test, if a need turns out to be missing only now. */
export function skipWithout({ skip, task }: TestContext, need: Need): void {
  if (need.missing === undefined) return;
  Object.assign(task.meta, metaOf(need));
  skip(need.missing);
}

function metaOf({ missing, optional = false }: Need) {
  return { skipReason: missing, skipOptional: optional };
}

/** Daemons are in folders that an ordinary user's PATH lacks. */
export const DAEMON_PATH = [process.env.PATH, '/usr/sbin', '/sbin'].join(delimiter);

/** The path of a program, or undefined. */
function programPath(name: string): string | undefined {
  const files = DAEMON_PATH.split(delimiter).map((folder) => join(folder, name));
  return files.find((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
}

/** A system package of scripts/lib/system-packages.json. */
function systemPackage(name: string): Need {
  const { signs, enough, packages: names } = packages.find((each) => each.name === name) ?? fail(name);
  const found = (sign: string) => (sign.startsWith('/') ? existsSync(sign) : programPath(sign) !== undefined);
  const isFound = enough === 'any' ? signs.some(found) : signs.every(found);
  return { missing: isFound ? undefined : `no ${name} (apt-get install ${names.join(' ')})` };
}

function fail(name: string): never {
  throw new RangeError(`scripts/lib/system-packages.json has no ${name}`);
}

export const chromium = systemPackage('Chromium');
export const chromiumPath = () => packages[0].signs.map(programPath).find(Boolean);
export const slurm = systemPackage('Slurm');
const iproute2 = systemPackage('iproute2');

/** iproute2 and network namespaces. They need root, and many containers do not allow them. */
export function networkNamespaces(): Need {
  if (iproute2.missing !== undefined) return iproute2;
  if (process.getuid?.() !== 0) return { missing: 'network namespaces need root', optional: true };
  const name = `di-test-${process.pid}`;
  const ip = (...args: readonly string[]) =>
    spawnSync('ip', ['netns', ...args], { env: { ...process.env, PATH: DAEMON_PATH } });
  if (ip('add', name).status !== 0)
    return { missing: 'this machine allows no network namespaces', optional: true };
  ip('del', name);
  return { missing: undefined };
}

/** @param decoder that the addon was built with: the header itself is not enough */
export const libjpeg = (decoder: string | undefined): Need => ({
  missing:
    decoder === undefined
      ? 'the addon was built without libjpeg-turbo (apt-get install libjpeg-dev, then npm run setup)'
      : undefined,
});
export const proc: Need = { missing: existsSync('/proc/self/stat') ? undefined : 'no /proc' };

const PYTHON_HINT = 'npm test installs one; or set DEEP_INCUBATION_INTEROP_PYTHON';

/** The Python of scripts/lib/test-python.mjs, or the one that the user names. */
function findPython(): { path: string; lacks: string | undefined } | undefined {
  const named = process.env.DEEP_INCUBATION_INTEROP_PYTHON;
  if (named) return { path: named, lacks: undefined };
  const folder = join(cacheRoot(), 'test-python');
  const record = join(folder, 'complete.json');
  if (!existsSync(record)) return undefined;
  return { path: join(folder, 'bin/python'), lacks: JSON.parse(readFileSync(record, 'utf8')).lacks };
}

const found = findPython();

/** Has safetensors, TensorBoard, huggingface_hub, pycocotools and Pillow. Only if `python` is available. */
export const pythonPath = found?.path ?? '';
export const python: Need = {
  missing: found === undefined ? `no Python with TensorBoard (${PYTHON_HINT})` : undefined,
};
/** A `python` that has torch, timm and transformers too. */
export const pythonTorch: Need = {
  missing: found === undefined ? `no Python with torch, timm and transformers (${PYTHON_HINT})` : found.lacks,
};
