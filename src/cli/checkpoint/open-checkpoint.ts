import { Interrupted } from '../../base/errors.js';
import { type CheckpointFile, readCheckpointFile } from '../../launch/start/checkpoint-file.js';
import { readingNotes } from '../../phase/images/reading-notes.js';
import { bytes } from '../../report/format.js';
import { localCheckpoint } from '../../weights/hub/hub.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { createLiveBlock } from '../terminal/live-block.js';
import { note } from '../terminal/output.js';
import { stopOnSignals } from '../terminal/signals.js';

/**
 * `readCheckpointFile` with output for the user: reports downloads, the choice between plain and averaged weights, and tensors
 * that are left out.
 * @throws the errors of `readCheckpointFile` and `localCheckpoint`
 */
export async function openCheckpoint(name: string, weights?: WeightsKind): Promise<CheckpointFile> {
  const download = (onHub: string) => downloaded(onHub, note);
  const checkpoint = await readCheckpointFile(name, { note, download, weights });
  for (const line of readingNotes(checkpoint.file)) note(line);
  return checkpoint;
}

/**
 * `localCheckpoint` with output for the user: prints the name and size of each file that is downloaded, or shows progress on a
 * terminal. An interrupted download leaves no partial files.
 * @throws the errors of `localCheckpoint`
 */
export async function downloaded(name: string, note: (line: string) => void): Promise<string> {
  const { stderr } = process;
  const block = createLiveBlock(stderr);
  using stop = stopOnSignals();
  try {
    return await localCheckpoint(name, {
      signal: stop.signal,
      onProgress: ({ path, bytes: received, size }) => {
        const percent = Math.floor((100 * received) / Math.max(size, 1));
        if (stderr.isTTY) block.draw([`downloading ${path}: ${percent} % of ${bytes(size)}`]);
        else if (received === 0) note(`downloading ${path}, ${bytes(size)}`);
      },
    });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    throw stop.blame(new Interrupted(`the download of ${name} was interrupted`), 'no partial file was kept');
  } finally {
    block.draw([]);
  }
}
