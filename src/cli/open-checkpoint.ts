import type { WeightsKind } from '../checkpoint/model-file/weights-choice.js';
import { type CheckpointFile, readCheckpointFile } from '../incubation/checkpoint-file.js';
import { readingNotes } from '../incubation/reading-notes.js';
import { downloaded } from './download.js';
import { note } from './output.js';

/**
 * `readCheckpointFile` as a user sees it: says what is downloaded, which of plain and averaged weights are taken, and
 * which tensors are left out.
 * @throws what `readCheckpointFile` and `localCheckpoint` throw
 */
export async function openCheckpoint(name: string, weights?: WeightsKind): Promise<CheckpointFile> {
  const download = (onHub: string) => downloaded(onHub, note);
  const checkpoint = await readCheckpointFile(name, { note, download, weights });
  for (const line of readingNotes(checkpoint.file)) note(line);
  return checkpoint;
}
