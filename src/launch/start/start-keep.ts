import { familiesIn } from '../../models/families/families.js';
import { isModule, type Phase } from '../../recipe/phase.js';
import { newestStep } from '../../run/checkpoint-store.js';
import { runFolder } from '../../run/run-folder.js';
import { startFacts, teacherFacts } from './copy-facts.js';
import { hasCopy, readGiven, wantedStart, wantedTeacher } from './start-copy.js';
import { keepWeights, type ReadWeights } from './start-copy-write.js';
import { requireTeacher } from './teacher.js';

/**
 * Copies the weights that a phase starts and learns from into the run, if the run has no copies: it was prepared without, or the
 * recipe has changed since. Call it in the process that leads the phase. A phase that has begun without copies, in a run of an
 * earlier version, continues to read the files that the recipe names.
 */
export async function keepMissing(phase: Phase, runDir: string): Promise<void> {
  if (newestStep(runFolder(runDir).phase(phase.name).root) > 0) return;
  keepWeights(runDir, [...(await missingStart(phase, runDir)), ...(await missingTeacher(phase, runDir))]);
}

async function missingStart(phase: Phase, runDir: string): Promise<ReadWeights[]> {
  const wanted = wantedStart(phase.start);
  const isRead = phase.sources.some((source) => source?.startsWith('start.')) || isModule(phase);
  if (wanted === undefined || !isRead || hasCopy(runDir, wanted)) return [];
  const checkpoint = await readGiven(runDir, wanted, { families: familiesIn(phase.model) });
  return [{ wanted, checkpoint, about: startFacts(phase, checkpoint) }];
}

async function missingTeacher(phase: Phase, runDir: string): Promise<ReadWeights[]> {
  const { distill } = phase.settings;
  const wanted = distill === null ? undefined : wantedTeacher(distill);
  if (distill === null || wanted === undefined || hasCopy(runDir, wanted)) return [];
  const checkpoint = await readGiven(runDir, wanted, { families: familiesIn(phase.model) });
  const known = requireTeacher(checkpoint, distill, phase);
  return [{ wanted, checkpoint, about: teacherFacts(known, phase.seed) }];
}
