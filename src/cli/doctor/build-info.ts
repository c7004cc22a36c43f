import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const schema = z.object({
  libtorch: z.object({ path: z.string(), version: z.string(), cuda: z.boolean() }).partial(),
  /** Version of libjpeg-turbo; null if it was not found. */
  jpeg: z.string().nullable().optional(),
  compiler: z.string().optional(),
});

/** The set-up script's record of the addon that it built; undefined if the record is missing or invalid. */
export function buildInfo(): z.infer<typeof schema> | undefined {
  const url = new URL('../../../native/build/info.json', import.meta.url);
  if (!existsSync(url)) return undefined;
  try {
    return schema.safeParse(JSON.parse(readFileSync(url, 'utf8'))).data;
  } catch {
    return undefined;
  }
}
