import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { errorText, InputError } from '../../base/errors.js';
import { type OpenFile, writeAll } from '../../files/file-bytes.js';
import { withFileErrors } from '../../files/file-errors.js';
import { type TarEntry, tarEntries, windowReader } from '../../files/tar.js';
import type { Recipe, RecipeInput } from '../../recipe/recipe-schema.js';

// A bundle is a tar file: bundle.json, then files with the same paths as in a run folder.

export const BUNDLE_FILE = 'bundle.json';

/** All names that a bundle's files may have. Nothing else is unpacked. */
const BUNDLE_NAMES =
  /^(recipe\.json|data\.json|start\/meta\.(safetensors|pth|bin)|(PT|MT\/\d{1,4})\/(result\.json|metrics\.jsonl|checkpoints\/(latest|best|\d{1,12}\/(manifest\.json|model\.safetensors|optimizer\.safetensors))))$/;

const fileSchema = z.object({
  bytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export const bundleSchema: z.ZodType<BundleContent> = z.object({
  format: z.literal('deep-incubation bundle 1'),
  kind: z.enum(['work', 'module']),
  phase: z.string().regex(/^MT\/\d{1,4}$/),
  parent: z.string().nullable(),
  files: z.record(z.string().regex(BUNDLE_NAMES), fileSchema),
});

/** Contents of `bundle.json`. */
export interface BundleContent {
  readonly format: 'deep-incubation bundle 1';
  /** work: recipe and meta model, for another machine to incubate the module. module: the module that it sends back. */
  readonly kind: 'work' | 'module';
  /** The module, such as `MT/1`. */
  readonly phase: string;
  /** SHA-256 of the meta model's weights; null if an old checkpoint does not record it. */
  readonly parent: string | null;
  /** Files by name: the same path as in a run folder. */
  readonly files: Readonly<Record<string, BundleFile>>;
}

/** A file's size, and its SHA-256 in hexadecimal digits. */
export interface BundleFile {
  readonly bytes: number;
  readonly sha256: string;
}

export function fileOf(bytes: Uint8Array): BundleFile {
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** A recipe without image paths, machine settings and versions. Only this part is sent to other machines and accepted. */
export function withoutMachine(recipe: Recipe): RecipeInput {
  const { versions: _versions, run: _run, data: allData, ...rest } = recipe;
  const { path: _path, ...data } = allData;
  return { ...rest, data, phases: withoutPaths(recipe) };
}

/** Removes the image paths of single modules. */
function withoutPaths({ phases }: Recipe): Recipe['phases'] {
  if (phases.modules === undefined) return phases;
  const modules = Object.entries(phases.modules).map(([index, { data, ...own }]) => {
    const { path: _path, ...rest } = data ?? {};
    return [index, { ...own, ...(data && { data: rest }) }];
  });
  return { ...phases, modules: Object.fromEntries(modules) };
}

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

/** The first path that does not exist: the given one, or `name-2.ext`, `name-3.ext` ... */
export function freePath(path: string): string {
  const [, stem, suffix] = /^(.*?)((?:\.\w+)*)$/s.exec(path) ?? [path, path, ''];
  let free = path;
  for (let n = 2; existsSync(free); n++) free = `${stem}-${n}${suffix}`;
  return free;
}
