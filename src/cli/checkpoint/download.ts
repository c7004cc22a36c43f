import { Interrupted } from '../../base/errors.js';
import { bytes } from '../../report/format.js';
import { localCheckpoint } from '../../weights/hub/hub.js';
import { createLiveBlock } from '../terminal/live-block.js';
import { stopOnSignals } from '../terminal/signals.js';

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
