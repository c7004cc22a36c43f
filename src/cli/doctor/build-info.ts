import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const schema = z.object({
  libtorch: z.object({ path: z.string(), version: z.string(), cuda: z.boolean() }).partial(),
  /** Of the libjpeg-turbo that was found; null: none. */
  jpeg: z.string().nullable().optional(),
  compiler: z.string().optional(),
});

/** What the set-up wrote of the addon it built, or nothing where it did not. */
export function buildInfo(): z.infer<typeof schema> | undefined {
  const url = new URL('../../../native/build/info.json', import.meta.url);
  if (!existsSync(url)) return undefined;
  try {
    return schema.safeParse(JSON.parse(readFileSync(url, 'utf8'))).data;
  } catch {
    return undefined;
  }
}
