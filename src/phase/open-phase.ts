import { InputError, RunError } from '../base/errors.js';
import { evenShare } from '../data/loader/loader.js';
import { classCountsOf } from '../data/loader/sampler.js';
import { type PhasePlan, phasePlan } from '../plan/plan.js';
import { changesSince, earlierHashes, type Lineage, lineageIn, lineageOf } from '../recipe/lineage.js';
import { dataOwnerOf, type Phase } from '../recipe/phase.js';
import { type Checkpoint, newestStep, pointToLatest } from '../run/checkpoint-store.js';
import type { Activity } from '../run/phase-status.js';
import { type PhaseFolder, runFolder } from '../run/run-folder.js';
import { engineInfo } from '../torch/engine.js';
import { type Precision, precisionOn } from '../torch/precision.js';
import { Generator } from '../torch/random.js';
import type { Crew } from '../training/distributed/crew.js';
import { ema } from '../training/ema.js';
import type { Task } from '../training/task.js';
import { changedThreads } from './changed-threads.js';
import type { GivenWeights, TeacherModel } from './given-weights.js';
import { type Images, imagesOf, trainImagesOf } from './images/images.js';
import { requireReadable } from './images/readable-images.js';
import { checkedImages, imagesPlannedFor, knownImages } from './images/run-data.js';
import { identityOf, readRunData } from './images/run-data-file.js';
import { NO_EVENTS, openPhaseEvents, type PhaseEvents } from './observe/phase-events.js';
import { type Log, openLog } from './observe/phase-log.js';
import { openPhaseSamples, type PhaseSamples } from './observe/phase-samples.js';
import { requireOneParent } from './one-parent.js';
import {
  averagedWeights,
  type CheckpointData,
  loadForAll,
  type PhasePoint,
  recordedPrecision,
  resume,
  type Trained,
} from './phase-checkpoint.js';
import { phaseLabels, requireTeachersLabels, type StartLabels } from './phase-labels.js';
import { phaseHeads, phaseModel, phaseStart, shareWeights, startForAll } from './phase-model.js';
import { type Objective, objectiveOf, teacherForAll } from './phase-objective.js';
import { freeze, optimizerOf } from './phase-optimizer.js';
import type { Shared } from './shared-incubation.js';

interface Opening {
  readonly phase: Phase;
  readonly runDir: string;
  readonly given: GivenWeights;
  readonly device: string;
  readonly shared?: Shared;
  readonly force?: boolean | undefined;
  readonly acceptDataChange?: boolean | undefined;
  readonly note?: ((line: string) => void) | undefined;
}

/** A phase that is ready to train: its model, images and progress. */
export interface OpenPhase extends Omit<PhaseParts, 'onProgress' | 'signal' | 'threadBytes'> {
  readonly objective: Objective;
  readonly start: PhasePoint;
  /** Number of micro-batches per step that this process trains on. */
  readonly share: number;
}

/** Opens a phase at its last checkpoint, or at its beginning. If there are several processes, all of them call this. */
export async function openPhase(run: Opening, crew: Crew): Promise<OpenPhase> {
  const { runDir, given, device, force } = run;
  const folder = runFolder(runDir).phase(run.phase.name);
  const log = crew.leads ? openLog(folder.log) : () => {};

  const { accumulate, batch_size: batchSize } = run.phase.settings;
  const share = evenShare(accumulate, batchSize, crew.size);
  const checkpoint = await loadForAll(folder.root, crew, log);
  const precision = precisionFor(run.phase, device, checkpoint, log);
  const phase = { ...run.phase, settings: { ...run.phase.settings, precision } };
  const { images: found, digest } = await imagesOfPhase(run, crew, log);
  const planned = imagesPlannedFor(runDir);
  const currentImages = trainImagesOf(phase, found.train.length);
  const plan = phasePlan(phase, (name) => planned(name) ?? currentImages(name));
  if (checkpoint !== undefined && crew.leads) pointToLatest(folder.root, checkpoint);
  const changed = device === 'cpu' && changedThreads(runDir, phase.name, engineInfo().threads);
  if (changed) log(changed);
  if (checkpoint === undefined && crew.leads)
    await requireOneParent(phase, { runDir, given }, { force, note: log });
  const read = () => phaseStart(phase, { runDir, given, checkpoint });
  const { stages, parent, labels, adapted, replaced } = await (checkpoint
    ? read()
    : startForAll(crew, phase, read));
  for (const line of adapted ?? []) log(line);
  const images = imagesWithLabels(run, found, labels, crew, log);
  const model = phaseModel(phase, stages, device);
  const auxiliary = phaseHeads(phase, device);
  if (checkpoint === undefined) shareWeights(model, crew);
  freeze(phase, model);
  const { ema: decay } = phase.settings;
  const trained: Trained = {
    model,
    auxiliary,
    optimizer: optimizerOf(phase, { model, auxiliary }, crew.group),
    ema: decay === null ? undefined : ema(averagedWeights(model), { decay }),
  };
  const start = resume(checkpoint, trained, phase.name);
  await requireSameStart(crew, newestStep(folder.root));
  const teacher = await teacherForAll(crew, phase, { given, runDir });
  if (teacher !== undefined) checkTeacher(teacher, images, log);
  const classCounts = () => classCountsOf(images.train);
  const from = { runDir, given, replaced, classCounts };
  const objective = await objectiveOf(phase, crew, { ...from, model, auxiliary, device, teacher });
  const { task } = objective;
  const current = crew.leads ? lineageOf(phase, parent, images.train) : undefined;
  // A resumed phase keeps the lineage that it began with.
  const lineage = checkpoint ? lineageIn(checkpoint.manifest) : current;
  if (lineage && current) {
    for (const change of changesSince(lineage, current, earlierHashes(phase))) log(change);
  }
  const fromStep = start.step;
  const train_images = planned(phase.name) ?? images.train.length;
  const data = { digest, train_images };
  if (crew.leads) logData(log, { plan, data, images, runDir, checkpoint });
  const shown = { task, train: images.train, val: images.val, mean: phase.data.mean, std: phase.data.std };
  return {
    phase,
    plan,
    folder,
    log,
    images,
    device,
    precision,
    crew,
    ...trained,
    lineage,
    data,
    objective,
    task,
    start,
    share,
    generator: new Generator(),
    events: crew.leads
      ? openPhaseEvents(phase, { folder: folder.events, fromStep, metrics: task.metrics.shown })
      : NO_EVENTS,
    samples: crew.leads
      ? openPhaseSamples({ folder: folder.samples, shown: phase.run.samples, fromStep, ...shown })
      : undefined,
  };
}

/**
 * The precision of a phase. With `auto`, a resumed phase keeps the one that it began with, also on another device. Phases
 * that began before `auto` existed trained in float32.
 */
function precisionFor(
  { settings: { precision: wish } }: Phase,
  device: string,
  checkpoint: Checkpoint | undefined,
  log: Log,
): Precision {
  if (wish !== 'auto' || checkpoint === undefined) return precisionOn(device, wish);
  const began = recordedPrecision(checkpoint);
  const here = precisionOn(device, wish);
  if (here !== began)
    log(`stays in ${began}, in which it began; a new phase on ${device} would be in ${here}`);
  return began;
}

/** The images of the phase. Rank 0 compares them with those of the run; shared images have already been compared. */
async function imagesOfPhase(
  { phase, runDir, shared, acceptDataChange: acceptChange, note }: Opening,
  { leads, led, rank }: Crew,
  log: Log,
): Promise<{ readonly images: Images; readonly digest: string | undefined }> {
  const owner = dataOwnerOf(phase.dataOfRun, phase.name);
  const digestOf = () => identityOf(readRunData(runDir), owner)?.digest;
  if (shared !== undefined) return { images: shared.images, digest: digestOf() };
  const noteAndLog = (line: string) => {
    log(line);
    note?.(line);
  };
  const checked = leads ? checkedImages(phase, runDir, owner, { acceptChange, note: noteAndLog }) : undefined;
  checked?.record();
  const count = () => checked?.images.whole.train.length ?? 0;
  // The other ranks read what rank 0 has recorded.
  const [leaders] = await led(1, async (beat) => {
    if (checked) await requireReadable(phase, runDir, owner, checked.images, { onProgress: beat });
    return [count()];
  });
  const { whole } = checked?.images ?? knownImages(phase, runDir, owner);
  // A module may train on its own share of the run's images.
  const images = imagesOf(phase, whole);
  if (whole.train.length === leaders) return { images, digest: digestOf() };
  throw new InputError(
    `${phase.name}: rank ${rank} finds ${whole.train.length} training images, but rank 0 finds ${leaders}`,
    { hint: 'all machines must have the same images' },
  );
}

/** Checks that the teacher's logits refer to the same classes as the labels of the images. */
function checkTeacher({ name, classes }: TeacherModel, { train }: Images, log: Log): void {
  const labels = { name: `distill.teacher ${name}`, classes, isOfRun: false };
  for (const line of requireTeachersLabels(train, labels)) log(line);
}

/** The images with the labels of the weights that the phase starts from. */
function imagesWithLabels(
  { phase, shared, note }: Opening,
  found: Images,
  start: StartLabels | undefined,
  { leads }: Crew,
  log: Log,
): Images {
  const { images, notes } = phaseLabels(found, start);
  if (images !== found && shared !== undefined) {
    throw new InputError(
      `${phase.name}: modules that are trained together need the labels of ${start?.name}`,
      {
        hint: 'set incubation.together to false: then each module gets the labels',
      },
    );
  }
  for (const line of notes) {
    log(line);
    if (leads) note?.(line);
  }
  return images;
}

/** Logs how the images differ from those that the phase began with, and how this affects its schedule. */
function logData(
  log: Log,
  about: {
    readonly plan: PhasePlan;
    readonly data: CheckpointData;
    readonly images: Images;
    readonly runDir: string;
    readonly checkpoint: Checkpoint | undefined;
  },
): void {
  const { plan, data, images, runDir, checkpoint } = about;
  const began = checkpoint && Object(checkpoint.manifest.data).digest;
  if (checkpoint !== undefined && (began === undefined || began === data.digest)) return;
  for (const { time, of, changes } of readRunData(runDir)?.changes ?? []) {
    log(`images of ${of} changed (accepted ${time}): ${changes.join('; ')}`);
  }
  const { train_images: planned } = data;
  if (images.train.length === planned) return;
  log(
    `the schedule keeps its ${plan.steps} steps, ${plan.steps_per_epoch} an epoch, of ${planned} training images; there are ${images.train.length} now`,
  );
}

/** Checks that every rank finds the same checkpoint in the run folder. */
async function requireSameStart({ rank, led }: Crew, step: number): Promise<void> {
  const [leaders] = await led(1, async () => [step]);
  if (leaders === step) return;
  throw new RunError(
    `rank ${rank} finds a checkpoint of step ${step}, but rank 0 finds one of step ${leaders}`,
    {
      hint: 'the run folder must be on a disk that all machines share',
    },
  );
}

/** All parts of a phase that is being trained. */
export interface PhaseParts extends Trained {
  readonly phase: Phase;
  readonly plan: PhasePlan;
  readonly folder: PhaseFolder;
  readonly log: Log;
  readonly events: PhaseEvents;
  /** Only in the process that writes files. */
  readonly samples: PhaseSamples | undefined;
  readonly images: Images;
  readonly task: Task;
  readonly generator: Generator;
  readonly device: string;
  /** What `training.precision` means on the device, or what the phase began with. */
  readonly precision: Precision;
  readonly crew: Crew;
  readonly lineage: Lineage | undefined;
  readonly data: CheckpointData;
  readonly onProgress: (activity: Activity) => void;
  readonly signal: AbortSignal | undefined;
  /** Checkpoints of at least this many bytes are written while training continues. */
  readonly threadBytes?: number | undefined;
}
