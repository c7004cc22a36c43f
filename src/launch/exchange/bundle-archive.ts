import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { errorText, InputError } from '../../base/errors.js';
import { type OpenFile, writeAll } from '../../files/file-bytes.js';
import { withFileErrors } from '../../files/file-errors.js';
import { type TarEntry, tarEntries, windowReader } from '../../files/tar.js';
import { BUNDLE_FILE, type BundleContent, bundleSchema } from './bundle.js';

/**
 * Unpacks the files that `bundle.json` lists and verifies their sizes and hashes.
 * @throws InputError if the bundle is damaged or contains other files
 */
export function extract(file: OpenFile, folder: string): BundleContent {
  const entries = entriesOf(file);
  const content = contentOf(file, entries);
  const files = entries.slice(1);
  const missing = Object.keys(content.files).find((name) => !files.some((each) => each.name === name));
  if (missing !== undefined) throw damaged(file.path, `${missing} is missing`);
  const read = windowReader(file);
  for (const [i, { name, start, size }] of files.entries()) {
    const expected = Object.hasOwn(content.files, name) ? content.files[name] : undefined;
    const isTwice = files.findIndex((each) => each.name === name) !== i;
    if (expected === undefined || isTwice) {
      throw damaged(file.path, `it contains the unexpected file ${JSON.stringify(name.slice(0, 100))}`);
    }
    const path = join(folder, name);
    const sha256 = withFileErrors(path, () => {
      mkdirSync(dirname(path), { recursive: true });
      return copy(read, start, size, path);
    });
    if (size !== expected.bytes || sha256 !== expected.sha256) {
      throw damaged(file.path, `${name} was changed after it was packed`);
    }
  }
  return content;
}

const CHUNK = 2 ** 22;

function copy(read: ReturnType<typeof windowReader>, start: number, size: number, path: string): string {
  const hash = createHash('sha256');
  const descriptor = openSync(path, 'wx');
  try {
    for (let at = 0; at < size; at += CHUNK) {
      const chunk = read(start + at, Math.min(CHUNK, size - at));
      hash.update(chunk);
      writeAll(descriptor, chunk);
    }
    // Sync, so that a run which contains the folder still has the file after a power loss.
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  return hash.digest('hex');
}

export function entriesOf(file: OpenFile): TarEntry[] {
  return [...tarEntries(file, windowReader(file))];
}

/** Far more than a list of a run's files needs. */
const MOST_JSON_BYTES = 2 ** 20;

export function contentOf(file: OpenFile, [first]: readonly TarEntry[]): BundleContent {
  if (first?.name !== BUNDLE_FILE) throw damaged(file.path, `its first file is not ${BUNDLE_FILE}`);
  const result = bundleSchema.safeParse(jsonOf(file, first));
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0];
  throw damaged(file.path, `${BUNDLE_FILE}: ${path.join('.')}: ${message}`);
}

export function jsonOf(file: OpenFile, { name, start, size }: TarEntry): unknown {
  if (size > MOST_JSON_BYTES) throw damaged(file.path, `${name} has ${size} bytes`);
  try {
    return JSON.parse(windowReader(file)(start, size).toString('utf8'));
  } catch (error) {
    throw damaged(file.path, `${name}: ${errorText(error)}`);
  }
}

export function damaged(path: string, why: string): InputError {
  return new InputError(`${path} is not a complete bundle: ${why}`, {
    hint: 'copy it again, or pack it again with `npx deep-incubation pack`',
  });
}
