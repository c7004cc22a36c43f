import { errorText } from '../base/errors.js';
import { trainBatches } from '../data/loader/loader.js';
import { makeFolders, syncWay } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { lockFolder } from '../files/folder-lock.js';
import { costUntil, stageRecords } from '../plan/cost.js';
import type { Phase } from '../recipe/phase.js';
import { labelledScore, scoresOf } from '../run/metric.js';
import type { Activity } from '../run/phase-status.js';
import type { PhaseResult } from '../run/records.js';
import { curriculumText } from '../run/records.js';
import { runFolder, writeResult } from '../run/run-folder.js';
import { openDevice, peakMemory } from '../torch/engine.js';
import { type Crew, crewOf } from '../training/distributed/crew.js';
import { dataParallel } from '../training/distributed/data-parallel.js';
import type { ProcessGroup } from '../training/distributed/process-group.js';
import { type TrainOptions, train } from '../training/trainer.js';
import type { GivenWeights } from './given-weights.js';
import { curriculumOf, workersOf } from './images/images.js';
import { type OpenPhase, openPhase } from './open-phase.js';
import { createObserver, enoughOf, type Observer, StoppedEarly } from './phase-observer.js';
import { scheduleOf } from './phase-optimizer.js';
import { companyOf, ownTime, type Shared, sharedBy } from './shared-incubation.js';

export interface PhaseRun {
  readonly phase: Phase;
  readonly runDir: string;
  /** Reads the weights that do not come from the run itself. */
  readonly given: GivenWeights;
  /** `cpu`, `cuda`, `cuda:<n>`, or `auto`: the first GPU, or the CPU if there is none. */
  readonly device: string;
  /** The processes that train the phase together, if there are several. The caller still owns the group. */
  readonly group?: ProcessGroup;
  /** Called with the current activity, at least once per step. */
  readonly onProgress?: (activity: Activity) => void;
  /** State that is shared with other modules incubated in this process. */
  readonly shared?: Shared;
  /** Checkpoints of at least this many bytes are written by a thread while training continues. Default 64 MiB. */
  readonly threadBytes?: number;
  /** When aborted, the phase saves a checkpoint after the current step and throws `Interrupted`. */
  readonly signal?: AbortSignal;
  /** Assemble modules even if they were incubated against different meta models. */
  readonly force?: boolean | undefined;
  /** Continue with images that differ from those that the run was trained on, and record the differences. Default false. */
  readonly acceptDataChange?: boolean | undefined;
  /** Called with notes for the user about the images, in addition to the log. */
  readonly note?: ((line: string) => void) | undefined;
}

/**
 * Trains one phase in this process, from its last checkpoint if it has one, and writes its metrics, log, checkpoints and
 * result to the run folder. With a group, all processes of the group call this: they share the micro-batches of every
 * step, and rank 0 writes. The commands `report`, `watch` and `status` work on a folder that `prepareRun` has made.
 *
 * @throws InputError if the device does not exist, the folder is in use, the images differ from those that the run was
 *   trained on, or a phase that this one starts from is not done
 * @throws Interrupted after `signal` is aborted; the next call resumes from there
 */
export async function runPhase(given: PhaseRun): Promise<PhaseResult> {
  const run = { ...given, device: openDevice(given.device) };
  const { root } = runFolder(run.runDir).phase(run.phase.name);
  const crew = crewOf(run.group);
  if (!crew.leads) {
    run.group?.barrier();
    return trainPhase(run, crew);
  }
  withFileErrors(root, () => {
    makeFolders(root);
    // A process may have made the folder and died before it was on disk. Sync it, so that checkpoints survive a power loss.
    syncWay(run.runDir, root);
  });
  // Wait for the lock: a process whose supervisor was killed ends after its current step.
  const lock = await lockFolder(root, ORPHAN_MS);
  try {
    run.group?.barrier();
    return await trainPhase(run, crew);
  } finally {
    lock.release();
  }
}

const ORPHAN_MS = 60_000;

async function trainPhase(run: PhaseRun, crew: Crew): Promise<PhaseResult> {
  const opened = await openPhase(run, crew);
  const { phase, plan, start, log, device, precision, events, objective } = opened;
  const { onProgress = () => {}, signal, threadBytes } = run;
  const observer = createObserver({ ...opened, onProgress, signal, threadBytes }, start);
  const begins = start.step === 0 ? 'starts' : `resumes from step ${start.step}`;
  const where = device === 'cpu' && precision === 'float32' ? device : `${device} in ${precision}`;
  log(`${begins}: ${plan.steps} steps on ${where}${companyOf(crew.size, run.shared)}`);
  if (plan.curriculum !== undefined) log(`curriculum: ${curriculumText(plan.curriculum)}`);

  // A model that already exists is evaluated before it is fine-tuned.
  if (start.step === 0 && phase.sources.every((source) => source !== null)) await observer.evaluate(0);
  if (!enoughOf(phase, opened.task.metrics.primary)(start.scores)) {
    const buffers = [...opened.model.trainedBuffers(), ...(opened.auxiliary?.namedBuffers() ?? [])];
    const parallel = crew.group && dataParallel(objective.model.trainedParameters(), crew.group, { buffers });
    const training = trainingOf(run, opened, observer);
    await trainUntilEnough({ ...training, parallel }).finally(parallel?.free);
  }
  await observer.finish();

  const result = { ...(await resultOf(observer, opened)), ranks: crew.size };
  if (crew.leads) writeResult(run.runDir, result);
  events.done();
  log(
    `done: ${labelledScore(opened.task.metrics.primary, result)} after ${result.seconds.toFixed(1)} s of training`,
  );
  return result;
}

/** The trainer's options for a phase. */
function trainingOf({ shared }: PhaseRun, opened: OpenPhase, observer: Observer): TrainOptions<unknown> {
  const { phase, plan, start, images, objective, events, samples } = opened;
  const { accumulate, clip_grad, activation_checkpointing } = phase.settings;
  const batches = sharedBy({ shared }, start.step * accumulate, (from) =>
    batchesOf(opened, { from, steps: plan.steps }),
  );
  return {
    ...opened,
    model: shared?.prefix(objective.model) ?? objective.model,
    phase: phase.name,
    dropPathKey: [phase.seed, 'drop-path', phase.key],
    schedule: scheduleOf(phase, plan),
    batches: events.watching(samples?.watching(batches) ?? batches),
    fromStep: start.step,
    steps: plan.steps,
    accumulate: opened.share,
    clipGrad: clip_grad,
    activationCheckpointing: activation_checkpointing,
    describe: (index) => images.train.describe(index),
    seed: phase.seed,
    afterStep: (report) => observer.afterStep(ownTime(report, shared)),
  };
}

async function trainUntilEnough(options: TrainOptions<unknown>): Promise<void> {
  try {
    await train(options);
  } catch (error) {
    if (!(error instanceof StoppedEarly)) throw error;
  }
}

async function resultOf(observer: Observer, { plan, device, task }: OpenPhase): Promise<PhaseResult> {
  const { step, seconds, last } = observer.point;
  const evaluation = last ?? (await observer.evaluate(plan.steps));
  const { phase, images, block_passes, macs, parameters, trained_parameters } = plan;
  // Less than planned if the phase stopped early.
  const done = step === plan.steps ? { images, block_passes, macs } : costUntil(plan, step);
  const curriculum = stageRecords(plan);
  const cost = { steps: step, ...done, ...(curriculum && { curriculum }) };
  const memory_bytes = peakMemory(device);
  const { loss, images: evaluation_images } = evaluation;
  const scores = { ...scoresOf(evaluation, task.metrics.all), loss, evaluation_images };
  return { phase, ...cost, seconds, memory_bytes, ...scores, parameters, trained_parameters };
}

/**
 * The training batches of a phase.
 * @param range `from`: number of micro-batches before the first one; `steps`: number of steps in all
 */
export function batchesOf(
  opened: OpenPhase,
  { from, steps }: { readonly from: number; readonly steps: number },
) {
  const { phase, plan, images, log, crew } = opened;
  const { batch_size: batchSize, accumulate } = phase.settings;
  return trainBatches({
    ...images.augmentation,
    ...curriculumOf(phase, plan.steps),
    dataset: images.train,
    batchSize,
    accumulate,
    share: crew,
    seed: phase.seed,
    phase: phase.key,
    fromStep: from,
    steps: steps * accumulate,
    shuffle: phase.data.shuffle,
    sampling: phase.data.sampling,
    ...workersOf(phase),
    onBadImage: phase.data.bad_images,
    onReplaced: (image, error) => log(`replaced ${image}: ${errorText(error)}`),
  });
}
