import { type CheckpointFile, readCheckpointFile } from '../../launch/start/checkpoint-file.js';
import { readingNotes } from '../../phase/images/reading-notes.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { note } from '../terminal/output.js';
import { downloaded } from './download.js';

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
