import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { withFamilies } from '../../models/families/families.js';
import type { ModelFamily } from '../../models/family.js';
import { type ModelFile, type ReadModelOptions, readModelFile } from '../../models/model-file/model-file.js';
import { modelDamage } from '../../run/checkpoint-store-manifest.js';
import { claimedCheckpoint, finalCheckpoint } from '../../run/finished-phase.js';
import { readJson } from '../../run/run-folder.js';
import { localCheckpoint } from '../../weights/hub/hub.js';
import { hubNameMeant, isHubName } from '../../weights/hub/hub-name.js';
import { FOLDER_WEIGHTS } from '../../weights/safetensors/safetensors-shards.js';
import { type Manifest, manifestSchema } from './checkpoint-manifest.js';
import { checkpointPlace, choiceLine, requireBest } from './checkpoint-place.js';

export interface CheckpointFile {
  /** Its name in results: the name on the hub, or the path that was read. */
  readonly name: string;
  readonly file: ModelFile;
  /** Only for a checkpoint that a run has written. */
  readonly manifest: Manifest | undefined;
  /** The verified hash of its `model.safetensors`, if it is the folder of a checkpoint. */
  readonly sha256?: string | undefined;
}

export interface CheckpointFileOptions extends ReadModelOptions {
  /** Called with the choice of a phase's checkpoint, and with damaged checkpoints that were skipped. */
  readonly note?: (line: string) => void;
  /** Returns the local path for a name on the hub. Default: `localCheckpoint`. */
  readonly download?: (name: string) => Promise<string>;
}

/**
 * Reads the checkpoint that a user names: a phase's folder (its latest checkpoint), `best` or `latest` in it, a run (its
 * result), the folder of a checkpoint or a Hugging Face model, a file of weights, or one on the hub (see `localCheckpoint`).
 * @throws InputError if the checkpoint is not found, invalid or damaged
 * @throws RunError if the download fails
 */
export async function readCheckpointFile(
  name: string,
  options: CheckpointFileOptions = {},
): Promise<CheckpointFile> {
  const { note = () => {}, download = localCheckpoint } = options;
  const isOnHub = isHubName(name);
  const local = isOnHub ? await download(name) : name;
  const notes: string[] = [];
  const place = findWeights(local, (line) => notes.push(line), claimedCheckpoint);
  try {
    const read = await readPlace(place, options);
    for (const line of notes) note(line);
    return { name: isOnHub ? name : place, ...read };
  } catch (error) {
    // If it is a phase's folder, this error says what is lost, and what can be used instead.
    if (error instanceof InputError) findWeights(local, () => {}, finalCheckpoint);
    throw error;
  }
}

async function readPlace(
  place: string,
  { weights, families }: ReadModelOptions,
): Promise<Omit<CheckpointFile, 'name'>> {
  const hash = createHash('sha256');
  const file = await readModelFile(place, { weights, families, seen: (bytes) => hash.update(bytes) });
  const folder = file.format === 'checkpoint' ? file.path : dirname(file.path);
  const beside = join(folder, 'manifest.json');
  const isOurs =
    file.layout === 'deep-incubation' && existsSync(beside) && existsSync(join(folder, 'model.safetensors'));
  const read = file.format === 'checkpoint' ? hash.digest('hex') : undefined;
  const damage = isOurs ? modelDamage(folder, read) : undefined;
  if (damage !== undefined) {
    throw new InputError(`${folder}: the checkpoint is damaged: ${damage}`, {
      hint: 'use another checkpoint of the run, or restore this one from a copy',
    });
  }
  return {
    file,
    manifest: isOurs ? readManifest(beside, families) : undefined,
    sha256: isOurs ? read : undefined,
  };
}

/** Files that identify a folder as a model: one of our checkpoints, or a Hugging Face model. */
const MODEL_FILES = [...FOLDER_WEIGHTS, 'config.json'];

function findWeights(given: string, note: (line: string) => void, find: typeof finalCheckpoint): string {
  const { path, which } = checkpointPlace(given) ?? { path: given, which: 'latest' };
  if (which === 'best') {
    const best = requireBest(path);
    note(choiceLine(path, which, best));
    return best.folder;
  }
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw notFound(path);
  if (!stat.isDirectory() || MODEL_FILES.some((name) => existsSync(join(path, name)))) return path;
  if (!existsSync(join(path, 'checkpoints'))) {
    throw new InputError(`${path} is neither a phase of a run nor a checkpoint`, {
      hint: 'name the folder of a phase, such as runs/x/FT, a checkpoint, such as runs/x/FT/checkpoints/100, or a .safetensors or .pth file',
    });
  }
  const { checkpoint, skipped } = find(path);
  for (const { folder, reason } of skipped) note(`ignored ${folder}: ${reason}`);
  if (checkpoint === undefined) throw new InputError(`${path} has no complete checkpoint`);
  note(choiceLine(path, which, checkpoint));
  return checkpoint.folder;
}

function notFound(path: string): InputError {
  // If the first folder exists, the path is more likely misspelt than a name on the hub.
  const meant = existsSync(path.split('/', 1)[0]) ? undefined : hubNameMeant(path);
  return new InputError(`${path} does not exist`, {
    hint: meant === undefined ? 'check the path of the checkpoint' : `did you mean ${meant}?`,
  });
}

function readManifest(path: string, families: readonly ModelFamily[] = []): Manifest {
  const result = manifestSchema.safeParse(readJson(path));
  if (result.success) return { ...result.data, model: withFamilies(result.data.model, families) };
  const { path: key, message } = result.error.issues[0];
  throw new InputError(`${path}: ${key.join('.')}: ${message}`, {
    hint: 'use another checkpoint of the run',
  });
}
