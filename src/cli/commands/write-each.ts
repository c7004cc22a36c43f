import type { Unreadable } from '../../launch/predict-each.js';
import { progressLine } from '../terminal/live-block.js';
import { note } from '../terminal/output.js';

/**
 * Passes each result to `write`, also those of images that could not be read, and shows the progress. Notes the images that could not be
 * read, and sets the exit status 1 if there are any.
 */
export async function writeEach<Result extends { readonly image: string }>(
  results: AsyncIterable<Result | Unreadable>,
  total: number,
  write: (result: Result | Unreadable) => void,
): Promise<void> {
  const progress = progressLine(process.stderr, 'images');
  let failed = 0;
  let done = 0;
  try {
    for await (const result of results) {
      if (!process.stdout.isTTY) progress.show(++done, total);
      if ('error' in result) {
        failed++;
        progress.clear();
        note(`not read: ${result.error}`);
      }
      write(result);
    }
  } finally {
    progress.clear();
  }
  if (failed === 0) return;
  note(`${failed} of ${total} images could not be read`);
  process.exitCode = 1;
}
