import { createHash } from 'node:crypto';
import { closeSync, existsSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { errorText } from '../base/errors.js';
import { openRegular, readSmallText } from '../files/small-file.js';

/** Version of the checkpoint folder's layout. */
export const FORMAT = 1;

export const MODEL = 'model.safetensors';
export const OPTIMIZER = 'optimizer.safetensors';
/** Weights that are trained with the model but are no part of it. Few phases have them. */
export const AUXILIARY = 'auxiliary.safetensors';

const FILES = [MODEL, OPTIMIZER] as const;

/** The files of a checkpoint with this manifest. */
function filesOf({ files }: Pick<CheckpointManifest, 'files'>): string[] {
  return [...FILES, ...(Object.hasOwn(files, AUXILIARY) ? [AUXILIARY] : [])];
}

/** `manifest.json`: sizes and hashes to verify the files, and the data that the trainer needs to resume. */
export interface CheckpointManifest {
  readonly format: number;
  readonly step: number;
  readonly files: Readonly<Record<string, FileFingerprint>>;
  readonly [key: string]: unknown;
}

export interface FileFingerprint {
  readonly bytes: number;
  readonly sha256: string;
}

/** Sizes and hashes of a checkpoint's files on disk. */
export function fingerprint(folder: string): Record<string, FileFingerprint> {
  const files = [...FILES, AUXILIARY].filter((file) => file !== AUXILIARY || existsSync(join(folder, file)));
  return Object.fromEntries(files.map((file) => [file, fingerprintOf(join(folder, file))]));
}

export function fingerprintOf(path: string): FileFingerprint {
  return { bytes: statSync(path).size, sha256: sha256(path) };
}

type FileCheck = (path: string, file: string, expected: FileFingerprint | undefined) => string | undefined;

const manifestSchema = z.looseObject({
  files: z.record(z.string(), z.object({ bytes: z.int(), sha256: z.string() })),
});

/**
 * Checks a checkpoint's files against its manifest.
 * @param files required files, default all that the manifest lists
 * @param check returns the reason why a file does not match the manifest. The default compares size and hash
 * @returns the manifest, or the reason why the checkpoint cannot be used
 */
export function verify(
  folder: string,
  files?: readonly string[],
  check: FileCheck = damage,
): { manifest: CheckpointManifest } | { reason: string } {
  if (!existsSync(folder)) return { reason: 'the folder is missing' };
  const path = join(folder, 'manifest.json');
  if (!existsSync(path)) return { reason: 'manifest.json is missing (ENOENT)' };
  try {
    const value: unknown = JSON.parse(readSmallText(path));
    const { format, step } = Object(value);
    if (format !== FORMAT)
      return { reason: `manifest.json has format ${format}, but this program reads ${FORMAT}` };
    if (String(step) !== basename(folder)) return { reason: `manifest.json belongs to step ${step}` };
    const parsed = manifestSchema.safeParse(value);
    if (!parsed.success) {
      const [{ path: key, message }] = parsed.error.issues;
      return { reason: `manifest.json: ${key.join('.')}: ${message}` };
    }
    const manifest = parsed.data as CheckpointManifest;
    const reason = (files ?? filesOf(manifest))
      .map((file) => check(join(folder, file), file, manifest.files[file]))
      .find((found) => found !== undefined);
    return reason === undefined ? { manifest } : { reason };
  } catch (error) {
    return { reason: errorText(error) };
  }
}

/**
 * The reason why the weights in a checkpoint folder, whatever its name, do not match its manifest; undefined if they match.
 * @param hash of the weights, if they were read already
 */
export function modelDamage(folder: string, hash?: string): string | undefined {
  const files = manifestSchema.safeParse(JSON.parse(readSmallText(join(folder, 'manifest.json')))).data
    ?.files;
  if (files === undefined) return undefined;
  const path = join(folder, MODEL);
  if (hash === undefined) return damage(path, MODEL, files[MODEL]);
  return sizeDamage(path, MODEL, files[MODEL]) ?? hashDamage(MODEL, hash, files[MODEL]);
}

function damage(path: string, file: string, expected: FileFingerprint | undefined): string | undefined {
  return sizeDamage(path, file, expected) ?? hashDamage(file, sha256(path), expected);
}

/** The reason why a file cannot match the manifest, from its existence and size only; undefined if it may match. */
export function sizeDamage(
  path: string,
  file: string,
  expected: FileFingerprint | undefined,
): string | undefined {
  if (expected === undefined) return `manifest.json does not list ${file}`;
  if (!existsSync(path)) return `${file} is missing`;
  const bytes = statSync(path).size;
  return bytes === expected.bytes ? undefined : `${file} has ${bytes} bytes instead of ${expected.bytes}`;
}

function hashDamage(file: string, hash: string, expected: FileFingerprint | undefined): string | undefined {
  return hash === expected?.sha256 ? undefined : `the hash of ${file} differs from manifest.json`;
}

/**
 * Reads a checkpoint's files and checks them against its manifest, in one pass.
 * @param files default all that the manifest lists
 * @param read reads a file, and passes every byte of it to `seen`, in order
 * @returns the manifest, or the reason why the checkpoint cannot be used
 */
export function readVerified(
  folder: string,
  files: readonly string[] | undefined,
  read: (path: string, file: string, seen: (bytes: Uint8Array) => void) => void,
): ReturnType<typeof verify> {
  return verify(folder, files, (path, file, expected) => {
    const missing = sizeDamage(path, file, expected);
    if (missing !== undefined) return missing;
    const hash = createHash('sha256');
    try {
      read(path, file, (bytes) => hash.update(bytes));
    } catch (error) {
      // An unreadable file is either damaged, or was already invalid when it was written.
      return damage(path, file, expected) ?? errorText(error);
    }
    return hashDamage(file, hash.digest('hex'), expected);
  });
}

function sha256(path: string): string {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(1 << 22);
  const { descriptor: file } = openRegular(path);
  try {
    for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer)) {
      hash.update(buffer.subarray(0, read));
    }
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}
