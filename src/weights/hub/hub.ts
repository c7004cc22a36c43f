import { statSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { z } from 'zod';
import { cacheRoot } from '../../base/cache.js';
import { InputError } from '../../base/errors.js';
import { writeJsonAtomic } from '../../files/atomic.js';
import { readSmallText } from '../../files/small-file.js';
import { FOLDER_WEIGHTS, isShardIndex } from '../model-file/folder-weights.js';
import { shardNames } from '../safetensors/safetensors-shards.js';
import { type Hub, openHub } from './hub-client.js';
import type { HubProgress, RemoteFile } from './hub-download.js';
import { notThere, noWeights } from './hub-errors.js';
import { type HubName, isHubName, parseHubName } from './hub-name.js';

export interface HubOptions {
  /**
   * HF_TOKEN: for private and gated repositories; HF_ENDPOINT: another hub, or a mirror; HF_HUB_OFFLINE: only what
   * was downloaded before is used. The cache is `cacheRoot(env)`/hub. Default: the process's.
   */
  readonly env?: NodeJS.ProcessEnv;
  readonly onProgress?: HubProgress;
  /** Ends a download; nothing of it stays. */
  readonly signal?: AbortSignal;
}

/** What may lie beside weights and tells what they are: Hugging Face's or timm's geometry, our manifest. */
const COMPANIONS = ['config.json', 'preprocessor_config.json', 'manifest.json'];

/** What is kept beside a downloaded file: its size in bytes, and its digest as the hub states it. */
const recordSchema = z.object({
  size: z.int().nonnegative(),
  digest: z.object({ kind: z.string(), hex: z.string() }),
});

/**
 * Where a checkpoint is on this machine: a path is where it says; `hf:owner/repo/path/in/repo[@revision]` is
 * downloaded from the Hugging Face hub at first, into `<cache>/hub/<owner>/<repo>/<revision>/<path>`, with
 * what lies beside it and tells what it is; of an index of shards, with these. `hf:owner/repo` is the repository's
 * weights, under the name that Hugging Face and timm give them; `hf-hub:` is read as `hf:`. What was downloaded is used from then on without asking the hub again,
 * even if a branch has moved on: name a tag or commit to know what you get.
 *
 * @throws InputError where the name is wrong, or the hub has no such file or refuses it
 * @throws RunError where the hub cannot be reached, breaks off, or delivers other bytes than it states
 * @throws the signal's reason, once aborted
 *
 * @example
 * const path = await localCheckpoint('model.safetensors'); // as it is; hf:owner/repo/file is fetched
 */
export async function localCheckpoint(name: string, options: HubOptions = {}): Promise<string> {
  if (!isHubName(name)) return name;
  const { env = process.env } = options;
  const wanted = parseHubName(name);
  const { owner, repo, revision } = wanted;
  const root = join(cacheRoot(env), 'hub', owner, repo, encodeURIComponent(revision));
  const place = candidatesOf(wanted)
    .map((path) => join(root, path))
    .find(isWhole);
  if (place !== undefined) return place;
  if (isOn(env.HF_HUB_OFFLINE)) {
    throw new InputError(`${name} was not downloaded before, and HF_HUB_OFFLINE is set`, {
      hint: `unset HF_HUB_OFFLINE, or put the file somewhere and give its path`,
    });
  }
  return download(wanted, root, { ...options, env });
}

/** The files that it may be, the best first. */
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
  // The weights come last: where they are, their companions are.
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

/** Downloaded before, of an index with the shards that it names. */
function isWhole(place: string): boolean {
  if (!isCached(place)) return false;
  return !isShardIndex(place) || shardNames(place).every((name) => isCached(join(dirname(place), name)));
}

/** Downloaded before, and as long as it was then: a whole digest would cost as much as reading the file. */
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

/** As Hugging Face's own programs read their switches. */
function isOn(value: string | undefined): boolean {
  return ['1', 'on', 'yes', 'true'].includes((value ?? '').toLowerCase());
}
