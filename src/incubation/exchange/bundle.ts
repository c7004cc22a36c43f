import { createHash } from 'node:crypto';
import { z } from 'zod';

// A bundle is a tar file: bundle.json, then files as they lie in a run folder.

export const BUNDLE_FILE = 'bundle.json';

/** Every name that a bundle's files may have: nothing else is unpacked. */
const BUNDLE_NAMES =
  /^(recipe\.json|start\/meta\.(safetensors|pth|bin)|(PT|MT\/\d{1,4})\/(result\.json|metrics\.jsonl|checkpoints\/(latest|best|\d{1,12}\/(manifest\.json|model\.safetensors|optimizer\.safetensors))))$/;

const fileSchema = z.object({
  bytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export const bundleSchema = z.object({
  format: z.literal('deep-incubation bundle 1'),
  /** work: recipe and meta model, for another machine to incubate the module. module: what it sends back. */
  kind: z.enum(['work', 'module']),
  /** The module. */
  phase: z.string().regex(/^MT\/\d{1,4}$/),
  /** Hash of the meta model's weights; null where an old checkpoint does not tell it. */
  parent: z.string().nullable(),
  files: z.record(z.string().regex(BUNDLE_NAMES), fileSchema),
});

/** What `bundle.json` says. */
export type BundleContent = z.infer<typeof bundleSchema>;
export type BundleFile = z.infer<typeof fileSchema>;

export function fileOf(bytes: Uint8Array): BundleFile {
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}
