import { RunError } from '../../base/errors.js';
import { pointToLatest } from '../../checkpoint/checkpoint-store.js';
import { runFolder } from '../../checkpoint/run-folder.js';
import type { Crew } from '../../cluster/crew.js';
import { evenShare } from '../../data/loader.js';
import { Generator } from '../../torch/random.js';
import { ema } from '../../training/ema.js';
import { changesSince, lineageIn, lineageOf } from '../exchange/lineage.js';
import { requireOneParent } from '../exchange/one-parent.js';
import { openImages, recipeOfPhase, trainImagesOf } from '../images.js';
import { type PhaseName, phaseOf } from '../phases.js';
import { phasePlan } from '../plan/plan.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import type { Shared } from '../together/shared-incubation.js';
import { findCheckpoint, resume, type Standing, type Trained } from './phase-checkpoint.js';
import { NO_EVENTS, openPhaseEvents } from './phase-events.js';
import { openLog } from './phase-log.js';
import { phaseModel, phaseStart } from './phase-model.js';
import { type Objective, objectiveOf } from './phase-objective.js';
import type { PhaseParts } from './phase-parts.js';
import { freeze, optimizerOf } from './phase-recipe.js';
import { openPhaseSamples } from './phase-samples.js';

interface Opening {
  readonly recipe: Recipe;
  readonly phase: PhaseName;
  readonly runDir: string;
  readonly device: string;
  readonly shared?: Shared;
  readonly force?: boolean | undefined;
}

/** A phase before it trains: what is trained, on what, and how far it is. */
export interface OpenPhase extends Omit<PhaseParts, 'onProgress' | 'signal' | 'threadBytes'> {
  readonly objective: Objective;
  readonly start: Standing;
  /** Micro-batches of a step that this process trains on. */
  readonly share: number;
}

/** Opens a phase where its last checkpoint left it, or where it begins. Of several processes all call it. */
export async function openPhase(run: Opening, crew: Crew): Promise<OpenPhase> {
  const { runDir, device, force } = run;
  const phase = phaseOf(run.recipe, run.phase);
  const recipe = recipeOfPhase(run.recipe, phase.name);
  const folder = runFolder(runDir).phase(phase.name);
  const log = crew.leads ? openLog(folder.log) : () => {};

  const { accumulate, batch_size: batchSize } = phase.settings;
  const share = evenShare(accumulate, batchSize, crew.size);
  const images = run.shared?.images ?? openImages(recipe);
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
  const { task } = objective;
  const current = crew.leads ? lineageOf(recipe, phase, parent, images.train) : undefined;
  // A phase that goes on has the lineage it began with.
  const lineage = checkpoint ? lineageIn(checkpoint.manifest) : current;
  if (lineage && current) for (const change of changesSince(lineage, current)) log(change);
  const fromStep = start.step;
  const shown = { task, train: images.train, val: images.val, mean: recipe.data.mean, std: recipe.data.std };
  return {
    ...{ recipe, phase, plan, folder, log, images, device, crew },
    ...trained,
    ...{ lineage, objective, task, start, share, generator: new Generator() },
    events: crew.leads ? openPhaseEvents(recipe, phase, { folder: folder.events, fromStep }) : NO_EVENTS,
    samples: crew.leads
      ? openPhaseSamples({ folder: folder.samples, shown: recipe.run.samples, fromStep, ...shown })
      : undefined,
  };
}

/** What each read from the run folder must be the same. */
async function requireSameStart({ rank, led }: Crew, step: number): Promise<void> {
  const [leaders] = await led(1, async () => [step]);
  if (leaders === step) return;
  throw new RunError(`rank ${rank} finds a checkpoint of step ${step}, rank 0 one of step ${leaders}`, {
    hint: 'the run folder must be one that all machines share',
  });
}
