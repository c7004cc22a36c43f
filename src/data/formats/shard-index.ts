import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { DeepIncubationError, errorText, InputError } from '../../base/errors.js';
import { writeFileAtomic } from '../../files/atomic.js';
import { withFile } from '../../files/file-bytes.js';
import { readSmallText } from '../../files/small-file.js';
import { type ShardIndex, shardSamples } from './shard-samples.js';

const place = z.number().int().min(0);

/** Increase it if the content of an index, or the selection of files in it, changes. Other versions are rebuilt. */
const VERSION = 2;

const cachedSchema = z.object({
  version: z.literal(VERSION),
  path: z.string(),
  size: z.number(),
  modified: z.string(),
  names: z.array(z.string()),
  starts: z.array(place),
  bytes: z.array(place),
  labels: z.array(z.number().int()),
  labelNames: z.array(z.string()),
  passedOver: z.array(z.object({ reason: z.string(), count: place, examples: z.array(z.string()) })),
});

/**
 * The index of a shard. It comes from the cache if there is an entry with the same path, size and modification time. Otherwise
 * it is built from the shard's headers and labels, and written to the cache.
 *
 * @throws InputError if the file is missing, damaged, or not a shard.
 */
export function shardIndex(path: string, cacheFolder: string): ShardIndex {
  const of = identityOf(path);
  const cached = join(cacheFolder, `${createHash('sha256').update(of.path).digest('hex').slice(0, 32)}.json`);
  const known = readCached(cached, of);
  if (known !== undefined) return known;
  const index = withFile(path, shardSamples);
  try {
    writeFileAtomic(cached, JSON.stringify({ version: VERSION, ...of, ...index }));
  } catch (error) {
    // A failed write is ignored: without the cache, the next run builds the index again.
    if (!(error instanceof DeepIncubationError)) throw error;
  }
  return index;
}

type Identity = Pick<z.infer<typeof cachedSchema>, 'path' | 'size' | 'modified'>;

function identityOf(path: string): Identity {
  try {
    const { size, mtimeNs } = statSync(path, { bigint: true });
    return { path: resolve(path), size: Number(size), modified: String(mtimeNs) };
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${errorText(error)})`, {
      hint: 'Check the path.',
      cause: error,
    });
  }
}

/** Undefined if the cached index is missing, invalid, or belongs to another file. */
function readCached(cached: string, of: Identity): ShardIndex | undefined {
  if (!existsSync(cached)) return undefined;
  const { success, data } = cachedSchema.safeParse(parsed(cached));
  if (!success || data.path !== of.path || data.size !== of.size || data.modified !== of.modified) {
    return undefined;
  }
  const { names, starts, bytes, labels, labelNames, passedOver } = data;
  const isWhole =
    [starts, bytes, labels].every(({ length }) => length === names.length) &&
    starts.every((start, i) => start + bytes[i] <= of.size) &&
    labels.every((label) => label >= -labelNames.length);
  return isWhole ? { names, starts, bytes, labels, labelNames, passedOver } : undefined;
}

/** Enough for millions of names. */
const MOST_BYTES = 2 ** 29 - 25;

function parsed(file: string): unknown {
  try {
    return JSON.parse(readSmallText(file, MOST_BYTES));
  } catch {
    return undefined;
  }
}
