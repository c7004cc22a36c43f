import { statSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import { writeJsonAtomic } from '../../files/atomic.js';
import { cacheRoot } from '../../files/home.js';
import { readSmallText } from '../../files/small-file.js';
import { FOLDER_WEIGHTS, isShardIndex, shardNames } from '../safetensors/safetensors.js';
import { type Hub, notThere, noWeights, openHub } from './hub-client.js';
import type { HubProgress, RemoteFile } from './hub-download.js';
import { type HubName, isHubName, parseHubName } from './hub-name.js';

export interface HubOptions {
  /**
   * HF_TOKEN: for private and gated repositories; HF_ENDPOINT: another hub, or a mirror; HF_HUB_OFFLINE: use only files
   * that were downloaded before. The cache is `cacheRoot(env)`/hub. Default: the process's environment.
   */
  readonly env?: NodeJS.ProcessEnv;
  readonly onProgress?: HubProgress;
  /** Aborts a download; its partial file is deleted. */
  readonly signal?: AbortSignal;
}

/** Files next to the weights that describe them: Hugging Face's or timm's configuration, this program's manifest. */
const COMPANIONS = ['config.json', 'preprocessor_config.json', 'manifest.json'];

/** Record next to a downloaded file: its size in bytes, and its digest as stated by the hub. */
const recordSchema = z.object({
  size: z.int().nonnegative(),
  digest: z.object({ kind: z.string(), hex: z.string() }),
});

/**
 * The local path of a checkpoint. A path is returned as it is. `hf:owner/repo/path/in/repo[@revision]` is first downloaded
 * from the Hugging Face hub to `<cache>/hub/<owner>/<repo>/<revision>/<path>`, together with the files that describe it and,
 * for an index of shards, with the shards. `hf:owner/repo` means the repository's weights, under the names that Hugging Face
 * and timm give them; `hf-hub:` is the same as `hf:`. A downloaded file is used from then on without a request to the hub,
 * even if its branch has changed: name a tag or commit for a fixed version.
 *
 * @throws InputError if the name is invalid, or the hub does not have the file or denies access
 * @throws RunError if the hub cannot be reached, ends the download early, or sends other bytes than stated
 * @throws the signal's reason, once aborted
 *
 * @example
 * const path = await localCheckpoint('model.safetensors'); // as it is; hf:owner/repo/file is fetched
 */
export async function localCheckpoint(name: string, options: HubOptions = {}): Promise<string> {
  if (!isHubName(name)) return name;
  const { env = process.env } = options;
  const wanted = parseHubName(name);
  const root = cacheFolder(wanted, env);
  const place = cachedIn(root, wanted);
  if (place !== undefined) return place;
  if (isOn(env.HF_HUB_OFFLINE)) {
    throw new InputError(`${name} is not in the cache, and HF_HUB_OFFLINE is set`, {
      hint: `unset HF_HUB_OFFLINE, or copy the file to this machine and use its path`,
    });
  }
  return download(wanted, root, { ...options, env });
}

/** Whether `localCheckpoint` has the checkpoint without a request to the hub. */
export function isLocal(name: string, env: NodeJS.ProcessEnv = process.env): boolean {
  if (!isHubName(name)) return true;
  const wanted = parseHubName(name);
  return cachedIn(cacheFolder(wanted, env), wanted) !== undefined;
}

function cacheFolder({ owner, repo, revision }: HubName, env: NodeJS.ProcessEnv): string {
  return join(cacheRoot(env), 'hub', owner, repo, encodeURIComponent(revision));
}

function cachedIn(root: string, wanted: HubName): string | undefined {
  return candidatesOf(wanted)
    .map((path) => join(root, path))
    .find(isWhole);
}

/** The files that the name may refer to, in order of preference. */
function candidatesOf({ path }: HubName): readonly string[] {
  return path === null ? FOLDER_WEIGHTS : [path];
}

async function download(
  wanted: HubName,
  root: string,
  options: HubOptions & { env: NodeJS.ProcessEnv },
): Promise<string> {
  const hub = await openHub(wanted, options);
  const candidates = candidatesOf(wanted);
  const folder = posix.dirname(candidates[0]);
  const companions = COMPANIONS.map((file) => posix.join(folder, file)).filter(
    (file) => !candidates.includes(file),
  );
  const found = await hub.look([...companions, ...candidates]);
  const [weights] = candidates.flatMap((path) => found.find((file) => file.path === path) ?? []);
  if (weights === undefined) throw noWeights(wanted, candidates);
  const place = join(root, weights.path);
  // The weights are fetched last: if they exist, so do their companions.
  await fetchAll(hub, [...found.filter(({ path }) => companions.includes(path)), weights], root);
  if (!isShardIndex(place)) return place;
  const shards = shardNames(place).map((name) => posix.join(folder, name));
  const there = await hub.look(shards);
  const missing = shards.find((path) => !there.some((file) => file.path === path));
  if (missing !== undefined) throw notThere(wanted, missing);
  await fetchAll(hub, there, root);
  return place;
}

async function fetchAll(hub: Hub, files: readonly RemoteFile[], root: string): Promise<void> {
  for (const file of files) {
    const place = join(root, file.path);
    if (isCached(place)) continue;
    await hub.fetch(file, place);
    writeJsonAtomic(recordOf(place), { size: file.size, digest: file.digest });
  }
}

/** Whether a file was downloaded completely; for an index, with all its shards. */
function isWhole(place: string): boolean {
  if (!isCached(place)) return false;
  return !isShardIndex(place) || shardNames(place).every((name) => isCached(join(dirname(place), name)));
}

/** Whether a file was downloaded and still has the recorded size. A digest would take as long as reading the file. */
function isCached(place: string): boolean {
  try {
    const { size } = recordSchema.parse(JSON.parse(readSmallText(recordOf(place))));
    return statSync(place).size === size;
  } catch {
    return false;
  }
}

function recordOf(place: string): string {
  return `${place}.hub.json`;
}

/** Parses a switch in the same way as Hugging Face's own programs. */
function isOn(value: string | undefined): boolean {
  return ['1', 'on', 'yes', 'true'].includes((value ?? '').toLowerCase());
}
