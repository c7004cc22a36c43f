import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import { familiesIn, familyOf, familyOfStages, withFamilies } from '../../models/families/families.js';
import type { ModelFamily } from '../../models/family.js';
import { type ModelFile, type ReadModelOptions, readModelFile } from '../../models/model-file/model-file.js';
import { bestCheckpoint, bestStep, type Checkpoint } from '../../run/checkpoint-store.js';
import { modelDamage } from '../../run/checkpoint-store-manifest.js';
import { claimedCheckpoint, finalCheckpoint } from '../../run/finished-phase.js';
import { phasesIn, readJson } from '../../run/run-folder.js';
import { TASKS_WITH_SECTION, type TaskWithSection, taskNamed } from '../../tasks/tasks.js';
import { localCheckpoint } from '../../weights/hub/hub.js';
import { hubNameMeant, isHubName } from '../../weights/hub/hub-name.js';
import { FOLDER_WEIGHTS } from '../../weights/safetensors/safetensors.js';

export interface CheckpointFile {
  /** Its name in results: the name on the hub, or the path that was read. */
  readonly name: string;
  readonly file: ModelFile;
  /** For a checkpoint that a run has written, and for a file that `convert` made from one. */
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
    manifest: isOurs ? readManifest(beside, families) : manifestInHeader(file, families),
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
  // Where runs are by default, or if the first folder exists, the path is more likely misspelt than a name on the hub.
  const [first] = path.split('/', 1);
  const meant = first === 'runs' || existsSync(first) ? undefined : hubNameMeant(path);
  return new InputError(`${path} does not exist`, {
    hint: meant === undefined ? 'check the path of the checkpoint' : `did you mean ${meant}?`,
  });
}

function readManifest(path: string, families?: readonly ModelFamily[]): Manifest {
  return checkedManifest(readJson(path), { path, hint: 'use another checkpoint of the run' }, families);
}

/** The entry of a safetensors header in which `convert` keeps the manifest of the checkpoint that it read. */
export const MANIFEST_ENTRY = 'manifest';

export function manifestEntry(manifest: Manifest): Record<string, string> {
  return { [MANIFEST_ENTRY]: JSON.stringify(manifest) };
}

function manifestInHeader(
  { layout, metadata, path }: ModelFile,
  families?: readonly ModelFamily[],
): Manifest | undefined {
  const text = layout === 'deep-incubation' ? metadata[MANIFEST_ENTRY] : undefined;
  if (text === undefined) return undefined;
  return checkedManifest(
    parsed(text),
    { path: `${path}: ${MANIFEST_ENTRY} in the header`, hint: 'convert the checkpoint of the run again' },
    families,
  );
}

/** Undefined if the text is not JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function checkedManifest(
  content: unknown,
  { path, hint }: { readonly path: string; readonly hint: string },
  families: readonly ModelFamily[] = [],
): Manifest {
  const result = manifestSchema.safeParse(content);
  if (result.success) {
    const { task, model } = result.data;
    if (task !== undefined) taskNamed(task, path);
    return { ...result.data, model: withFamilies(model, families) };
  }
  const { path: key, message } = result.error.issues[0];
  throw new InputError(`${path}: ${[...key, message].join(': ')}`, { hint });
}

/** A phase's folder, and which of its checkpoints to use. */
interface CheckpointPlace {
  readonly path: string;
  readonly which: 'best' | 'latest';
}

/**
 * Resolves the name of a checkpoint: `RUN/FT/best`, `RUN/FT/latest` (with or without `checkpoints`), `RUN/best`, `RUN`. A
 * run stands for its result: FT, or E2E if it trains nothing else.
 * @returns undefined for any other path
 * @throws InputError if a run has no result yet
 */
function checkpointPlace(path: string): CheckpointPlace | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return isRun(path) ? { path: resultOf(path), which: 'latest' } : undefined;
  const which = basename(path);
  if (which !== 'best' && which !== 'latest') return undefined;
  const parent = dirname(path);
  const folder = basename(parent) === 'checkpoints' ? dirname(parent) : parent;
  if (isRun(folder)) return { path: resultOf(folder), which };
  return existsSync(join(folder, 'checkpoints')) ? { path: folder, which } : undefined;
}

/** @throws InputError if the phase has no best checkpoint, or it is damaged */
function requireBest(phaseFolder: string): Checkpoint {
  const { checkpoint, skipped } = bestCheckpoint(phaseFolder);
  if (checkpoint !== undefined) return checkpoint;
  const why = skipped.map(({ folder, reason }) => `: ${folder}: ${reason}`).join('');
  throw new InputError(`${phaseFolder} has no best checkpoint${why}`, {
    hint: `use ${join(phaseFolder, 'latest')}`,
  });
}

/** Message that states which checkpoint was chosen, and which one is the best. */
function choiceLine(
  phaseFolder: string,
  which: CheckpointPlace['which'],
  { folder, step }: Checkpoint,
): string {
  const best = bestStep(phaseFolder);
  const other =
    which === 'best' || best === undefined
      ? ''
      : best === step
        ? ', which is the best'
        : `; the best is step ${best}: ${join(phaseFolder, 'best')}`;
  return `checkpoint: ${folder} (${which}, step ${step}${other})`;
}

function isRun(folder: string): boolean {
  // A Hugging Face folder is a model, whatever else it contains.
  return existsSync(join(folder, 'recipe.json')) && !existsSync(join(folder, 'config.json'));
}

function resultOf(runDir: string): string {
  const phases = phasesIn(runDir).filter((phase) => existsSync(join(runDir, phase, 'checkpoints')));
  const [result] = phases.includes('FT') ? ['FT'] : phases.length === 1 && phases[0] === 'E2E' ? phases : [];
  if (result !== undefined) return join(runDir, result);
  throw new InputError(`${runDir} is a run without a result yet`, {
    hint:
      phases.length === 0
        ? 'it has no phase yet'
        : `name one of its phases: ${phases.map((phase) => join(runDir, phase)).join(', ')}`,
  });
}

const evaluation = z.looseObject({
  step: z.number(),
  loss: z.number(),
  images: z.number().optional(),
});

const settingsOfTask = z.record(z.string(), z.unknown()).optional();

/** The recipe's section of the task, by its name; missing for other tasks. */
const settingsOfTasks = Object.fromEntries(
  TASKS_WITH_SECTION.map((name) => [name, settingsOfTask]),
) as Record<TaskWithSection, typeof settingsOfTask>;

export const manifestSchema = z.object({
  phase: z.string(),
  step: z.number(),
  seed: z.number(),
  seconds: z.number().optional(),
  depths: z.array(z.int().positive()),
  model: z.record(z.string(), z.unknown()),
  mean: z.array(z.number()),
  std: z.array(z.number()),
  /** Missing in manifests of earlier versions, which used the official share. */
  eval_crop: z.number().optional(),
  /** Names by label. Missing if the images name no classes, and in manifests of earlier versions. */
  classes: z.array(z.string()).optional(),
  exif: z.enum(['ignore', 'apply']).optional(),
  grey16: z.enum(['clip', 'scale']).optional(),
  /** `split`: how the run held out its evaluation images; missing if the data set has its own. */
  data: z.object({ split: z.object({ val: z.number(), seed: z.number() }).optional() }).optional(),
  /** The blocks of this checkpoint's model that its decoder reads; missing for other tasks. */
  taps: z.array(z.int().min(0)).optional(),
  /** Missing for classification, and in manifests of earlier versions, whose decoder implies the task. */
  task: z.string().optional(),
  ...settingsOfTasks,
  /** For detection: the id of each class in the annotation file, by label. */
  category_ids: z.array(z.number()).optional(),
  last: evaluation.optional(),
  /** Only in a run's copy of weights that it starts from: where they are from. */
  source: z.unknown().optional(),
});

/** Metadata of a checkpoint that a run has written. */
export type Manifest = z.infer<typeof manifestSchema>;

/**
 * The family of a checkpoint's model: that of its manifest; without one, the one that recognises the names of the tensors.
 * @throws InputError if the manifest states a user's own family and the caller does not know it
 */
export function familyOfCheckpoint({
  file,
  manifest,
}: Pick<CheckpointFile, 'file' | 'manifest'>): ModelFamily {
  if (manifest?.model.family === undefined) return familyOfStages(file.stages);
  try {
    return familyOf(manifest.model, familiesIn(manifest.model));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(
      `${file.path}: its model is of the family ${String(manifest.model.family)}, which is not built in`,
      { hint: OWN_FAMILY },
    );
  }
}

const OWN_FAMILY =
  'the commands know only the built-in families; use the program that defines this one: runRecipe, redoPhase and ' +
  'evaluateCheckpoint, see docs/own-model.md';
