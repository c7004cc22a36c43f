import { createHash } from 'node:crypto';
import { z } from 'zod';
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
