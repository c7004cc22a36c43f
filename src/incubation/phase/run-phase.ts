import { mkdirSync } from 'node:fs';
import { errorText, RunError } from '../../base/errors.js';
import { pointToLatest } from '../../checkpoint/checkpoint-store.js';
import { withFileErrors } from '../../checkpoint/file-errors.js';
import { lockFolder } from '../../checkpoint/folder-lock.js';
import type { PhaseResult } from '../../checkpoint/records.js';
import { runFolder, writeResult } from '../../checkpoint/run-folder.js';
import { type Crew, crewOf } from '../../cluster/crew.js';
import { dataParallel } from '../../cluster/data-parallel.js';
import type { ProcessGroup } from '../../cluster/process-group.js';
import type { Doing } from '../../cluster/process-watch.js';
import { evenShare, trainBatches } from '../../data/loader.js';
import { peakMemory } from '../../torch/engine.js';
import { Generator } from '../../torch/random.js';
import { ema } from '../../training/ema.js';
import { type TrainOptions, train } from '../../training/trainer.js';
import { changesSince, lineageIn, lineageOf } from '../exchange/lineage.js';
import { requireOneParent } from '../exchange/one-parent.js';
import { openImages, recipeOfPhase, trainImagesOf, workersOf } from '../images.js';
import { type PhaseName, phaseOf } from '../phases.js';
import { type PhasePlan, phasePlan } from '../plan/plan.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { companyOf, keyOf, ownTime, type Shared, sharedBy } from '../together/shared-incubation.js';
import { findCheckpoint, resume, type Trained } from './phase-checkpoint.js';
import { NO_EVENTS, openPhaseEvents } from './phase-events.js';
import { openLog } from './phase-log.js';
import { phaseModel, phaseStart } from './phase-model.js';
import { objectiveOf } from './phase-objective.js';
import { createObserver, enoughOf, type Observer, type PhaseParts } from './phase-observer.js';
import { freeze, optimizerOf, scheduleOf } from './phase-recipe.js';
import { openPhaseSamples } from './phase-samples.js';
import { StoppedEarly } from './stopped-early.js';

export interface PhaseRun {
  readonly recipe: Recipe;
  readonly phase: PhaseName;
  readonly runDir: string;
  readonly device: string;
  /** The processes that train the phase together, where there are several; it stays the caller's. */
  readonly group?: ProcessGroup;
  /** Told what the process does from now on, at least once a step. */
  readonly onProgress?: (doing: Doing) => void;
  /** What it shares with modules that are incubated beside it, in this process. */
  readonly shared?: Shared;
  /** Checkpoints of as many bytes are written by a thread while training goes on. Default 64 MiB. */
  readonly threadBytes?: number;
  /** Once aborted, the phase saves a checkpoint after its step and throws `Interrupted`. */
  readonly signal?: AbortSignal;
  /** Assemble modules that were incubated against different meta models. */
  readonly force?: boolean | undefined;
}

/**
 * Trains one phase in this process, from its last checkpoint if it has one, and leaves its metrics, log,
 * checkpoints and result in the run folder. With a group, in all processes of the group: they share the micro-batches
 * of every step, and rank 0 writes.
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * const { top1 } = await runPhase({ recipe, phase: 'PT', runDir: 'runs/mine', device: 'cpu' });
 * console.log(top1);
 */
export async function runPhase(run: PhaseRun): Promise<PhaseResult> {
  const { root } = runFolder(run.runDir).phase(run.phase);
  const crew = crewOf(run.group);
  if (!crew.leads) {
    run.group?.barrier();
    return trainPhase(run, crew);
  }
  withFileErrors(root, () => mkdirSync(root, { recursive: true }));
  // A process whose supervisor was killed ends after its step.
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
  const { runDir, device, force } = run;
  const phase = phaseOf(run.recipe, run.phase);
  const recipe = recipeOfPhase(run.recipe, phase.name);
  const folder = runFolder(runDir).phase(phase.name);
  const log = crew.leads ? openLog(folder.log) : () => {};

  // What is trained, on what, and how far it is.
  const images = run.shared?.images ?? openImages(recipe);
  const { accumulate, batch_size: batchSize } = phase.settings;
  const share = evenShare(accumulate, batchSize, crew.size);
  const plan = phasePlan(run.recipe, trainImagesOf(run.recipe, images.train.length), phase.name);
  const checkpoint = findCheckpoint(folder.root, log);
  if (checkpoint !== undefined && crew.leads) pointToLatest(folder.root, checkpoint);
  if (checkpoint === undefined) await requireOneParent(recipe, runDir, phase, { force, note: log });
  const { stages, parent } = await phaseStart(recipe, phase, { runDir, checkpoint });
  const model = phaseModel(recipe, phase, stages, device);
  freeze(phase, model);
  const { ema: decay } = phase.settings;
  const trained: Trained = {
    model,
    optimizer: optimizerOf(phase, model, crew.group),
    ema: decay === null ? undefined : ema(model.trainedParameters(), { decay }),
  };
  const start = resume(checkpoint, trained, phase.name);
  await requireSameStart(crew, start.step);
  const objective = await objectiveOf(recipe, phase, { model, runDir, device });
  const generator = new Generator();
  const { task } = objective;
  const current = crew.leads ? lineageOf(recipe, phase, parent, images.train) : undefined;
  // A phase that goes on has the lineage it began with.
  const lineage = checkpoint ? lineageIn(checkpoint.manifest) : current;
  if (lineage && current) for (const change of changesSince(lineage, current)) log(change);
  const events = crew.leads
    ? openPhaseEvents(recipe, phase, { folder: folder.events, fromStep: start.step })
    : NO_EVENTS;
  const samples = crew.leads
    ? openPhaseSamples({
        ...{ folder: folder.samples, shown: recipe.run.samples, fromStep: start.step, task },
        ...{ train: images.train, val: images.val, mean: recipe.data.mean, std: recipe.data.std },
      })
    : undefined;
  const made = { ...trained, lineage };
  const parts = {
    recipe,
    phase,
    plan,
    folder,
    log,
    events,
    samples,
    images,
    ...made,
    task,
    generator,
    device,
    crew,
  };
  const observer = createObserver(
    { ...parts, onProgress: run.onProgress ?? (() => {}), signal: run.signal, threadBytes: run.threadBytes },
    start,
  );
  log(
    `${start.step === 0 ? 'starts' : `goes on from step ${start.step}`}: ${plan.steps} steps on ${device}${companyOf(crew.size, run.shared)}`,
  );

  // A model that is there already is judged before it is tuned.
  if (start.step === 0 && phase.sources.every((source) => source !== null)) await observer.judge(0);

  const batches = sharedBy(run, start.step * phase.settings.accumulate, (from) => batchesOf(parts, from));
  const training: TrainOptions = {
    ...parts,
    model: run.shared?.prefix(objective.model) ?? objective.model,
    phase: phase.name,
    dropPathKey: [recipe.seed, 'drop-path', keyOf(recipe, phase)],
    schedule: scheduleOf(phase, plan),
    batches: events.watching(samples?.watching(batches) ?? batches),
    fromStep: start.step,
    steps: plan.steps,
    accumulate: share,
    clipGrad: phase.settings.clip_grad,
    precision: phase.settings.precision,
    activationCheckpointing: phase.settings.activation_checkpointing,
    describe: (index) => images.train.describe(index),
    seed: recipe.seed,
    afterStep: (report) => observer.afterStep(ownTime(report, run.shared)),
  };
  if (!enoughOf(phase)(start.scores)) {
    const parallel = crew.group && dataParallel(objective.model.trainedParameters(), crew.group);
    await trainUntilEnough({ ...training, parallel }).finally(parallel?.free);
  }

  await observer.finish();
  const result = { ...(await resultOf(observer, plan, device)), ranks: crew.size };
  if (crew.leads) writeResult(runDir, result);
  events.done();
  log(`done: top-1 ${result.top1.toFixed(2)} % after ${result.seconds.toFixed(1)} s of training`);
  return result;
}

/** What each read from the run folder must be the same. */
async function requireSameStart({ rank, led }: Crew, step: number): Promise<void> {
  const [leaders] = await led(1, async () => [step]);
  if (leaders === step) return;
  throw new RunError(`rank ${rank} finds a checkpoint of step ${step}, rank 0 one of step ${leaders}`, {
    hint: 'the run folder must be one that all machines share',
  });
}

async function trainUntilEnough(options: TrainOptions): Promise<void> {
  try {
    await train(options);
  } catch (error) {
    if (!(error instanceof StoppedEarly)) throw error;
  }
}

async function resultOf(observer: Observer, plan: PhasePlan, device: string): Promise<PhaseResult> {
  const { step, seconds, last } = observer.standing;
  const { top1, top5, loss } = last ?? (await observer.judge(plan.steps));
  const { phase, images, block_passes, macs, parameters, trained_parameters } = plan;
  // Less than planned where the phase stopped early.
  const share = step / plan.steps;
  const cost = {
    steps: step,
    images: images * share,
    block_passes: block_passes * share,
    macs: macs * share,
  };
  const memory_bytes = peakMemory(device);
  return { phase, ...cost, seconds, memory_bytes, top1, top5, loss, parameters, trained_parameters };
}

/** @param from micro-batches before the first */
function batchesOf(parts: Omit<PhaseParts, 'signal' | 'onProgress'>, from: number) {
  const { recipe, phase, plan, images, log, crew } = parts;
  const { batch_size: batchSize, accumulate } = phase.settings;
  return trainBatches({
    ...images.augmentation,
    dataset: images.train,
    batchSize,
    accumulate,
    share: crew,
    seed: recipe.seed,
    phase: keyOf(recipe, phase),
    fromStep: from,
    steps: plan.steps * accumulate,
    shuffle: recipe.data.shuffle,
    ...workersOf(recipe),
    onBadImage: recipe.data.bad_images,
    onReplaced: (image, error) => log(`replaced ${image}: ${errorText(error)}`),
  });
}
