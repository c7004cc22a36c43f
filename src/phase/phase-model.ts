import { InputError, RunError } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import { assemble, type StageWeights } from '../method/assemble.js';
import { grow } from '../method/grow.js';
import type { ModuleInit } from '../method/grow-plan.js';
import { stagesOfState } from '../models/model-file/layout-stages.js';
import { classNamesIn } from '../models/model-file/model-file-classes.js';
import { divideStages } from '../models/model-file/model-file-divide.js';
import { buildStage, type Stage, type StagedModel } from '../models/staged.js';
import type { InitContext } from '../nn/init.js';
import { loadWeights } from '../nn/weights.js';
import { weightsHash } from '../recipe/lineage.js';
import type { Phase, PhaseName, Source } from '../recipe/phase.js';
import type { LoadedCheckpoint } from '../run/checkpoint-store.js';
import { loadFinal } from '../run/finished-phase.js';
import { readResult, runFolder } from '../run/run-folder.js';
import { noGrad } from '../torch/autograd.js';
import { Generator } from '../torch/random.js';
import { broadcastBytes, type Crew } from '../training/distributed/crew.js';
import { inMemory, loadAll } from '../weights/lazy-tensor.js';
import { requireSameLabels, type StartLabels } from './phase-labels.js';
import { classesOf } from './start/checkpoint-classes.js';
import { readCheckpointFile } from './start/checkpoint-file.js';

/** The weights that a phase's model is built from. */
export interface PhaseStart {
  /** Weights of each stage; null: initialised from (seed, phase). */
  readonly stages: readonly (StageWeights | null)[];
  /** Hash of the initial weights, including the meta model's stage that a module replaces; null: from scratch or a checkpoint. */
  readonly parent: string | null;
  /** The labels of its head; undefined if the head is new. */
  readonly labels: StartLabels | undefined;
}

/** What the weights that a run starts from are read with. A phase of the run has it. */
type Origin = Pick<Phase, 'start' | 'target' | 'meta' | 'model' | 'config' | 'familyOf'>;

/** Weights, and the names of the classes that their head distinguishes. */
interface NamedWeights extends StageWeights {
  readonly labels: StartLabels | undefined;
}

/**
 * The weights of a phase's model: those of `checkpoint` if the phase resumes from one; otherwise each stage has the
 * weights of the phase or file in `phase.sources`.
 * @throws InputError if a phase that it starts from has no checkpoint, or a file does not have the weights of the model
 */
export async function phaseStart(
  phase: Phase,
  from: { readonly runDir: string; readonly checkpoint: LoadedCheckpoint | undefined },
): Promise<PhaseStart> {
  if (from.checkpoint === undefined) return startingWeights(phase, from.runDir);
  const stages = await weightsIn(from.checkpoint, phase.name);
  return { stages, parent: null, labels: stages[0].labels };
}

/**
 * The initial weights of a new phase. All processes that train together call this, but only rank 0 reads the weights. The
 * other ranks get no stages: `shareWeights` sends them the model's weights.
 */
export async function startForAll(
  { group, leads, led }: Crew,
  phase: Phase,
  read: () => Promise<PhaseStart>,
): Promise<PhaseStart> {
  if (group === undefined) return read();
  const start = leads ? await read() : undefined;
  const told = Buffer.from(JSON.stringify(start?.labels ?? null));
  const [length] = await led(1, async () => [told.length]);
  const labels: StartLabels | null = JSON.parse(Buffer.from(broadcastBytes(group, told, length)).toString());
  return start ?? { stages: phase.depths.map(() => null), parent: null, labels: labels ?? undefined };
}

/** Sends the weights of rank 0's model to the other processes. */
export function shareWeights(model: StagedModel, { group }: Crew): void {
  noGrad(() =>
    group?.broadcast(
      [...model.namedWeights()].map(([, weight]) => weight),
      0,
    ),
  );
}

/** Builds the model of a phase; stages without weights are initialised from (seed, phase). */
export function phaseModel(
  phase: Phase,
  stages: readonly (StageWeights | null)[],
  device: string,
): StagedModel {
  return assemble(phase.blueprint, phase.depths, stages, contextOf(phase, device), {
    regimes: phase.regimes,
    dropPath: phase.settings.drop_path,
    target: phase.target,
  });
}

/** The meta model that a run's modules are incubated against; undefined if it does not exist, or no longer exists. */
export async function metaStages(
  run: Origin,
  runDir: string,
): Promise<StageWeights['weights'][] | undefined> {
  const source = run.start.meta === undefined ? 'PT' : 'start.meta';
  try {
    return (await weightsFrom(source, run, runDir)).map(({ weights }) => weights);
  } catch (error) {
    if (error instanceof InputError || error instanceof RunError) return undefined;
    throw error;
  }
}

/** The hash of the meta model that a run's modules are incubated against. */
export async function metaHash(run: Origin, runDir: string): Promise<string | undefined> {
  const stages = await metaStages(run, runDir);
  return stages && weightsHash(stages);
}

const hashOf = (stages: readonly StageWeights[]) => weightsHash(stages.map(({ weights }) => weights));

/** The stage of the meta model that the phase's module replaces, frozen. */
export async function metaStageOf(phase: Phase, runDir: string, device: string): Promise<Stage> {
  const index = phase.regimes.indexOf('trained');
  const parent = phase.sources.find((source) => source !== null) ?? 'PT';
  const { weights, source } = (await weightsFrom(parent, phase, runDir))[index];
  const stage = buildStage(
    phase.blueprint,
    { depths: phase.meta, target: phase.target },
    index,
    contextOf(phase, device),
  );
  loadWeights(stage, weights, `${source}, stage ${index}`);
  stage.setTrainable(false);
  return stage;
}

function contextOf(phase: Phase, device: string): InitContext {
  const generator = new Generator().seed([phase.seed, 'init', phase.name]);
  return { device, dtype: 'F32', generator };
}

async function startingWeights(phase: Phase, runDir: string): Promise<PhaseStart> {
  const { sources } = phase;
  const known = new Map<Source, readonly NamedWeights[]>();
  for (const source of new Set(sources)) {
    if (source !== null) known.set(source, await weightsFrom(source, phase, runDir));
  }
  const stages = sources.map((source, index) => known.get(source)?.[index] ?? null);
  // With one source, the parent is all of it, including the stage that a module replaces; with several, only the used stages.
  const [first] = known.values();
  const parent = known.size === 1 ? first : stages.filter((stage) => stage !== null);
  const labels = [...known.values()].flatMap(([{ labels }]) => labels ?? []);
  requireSameLabels(labels);
  const built = phase.init === 'fresh' ? stages : grownStages(phase, stages, phase.init);
  return { stages: built, parent: known.size === 0 ? null : hashOf(parent), labels: labels[0] };
}

/** The weights of the trained stages, grown from the meta stages in their place. */
function grownStages(
  phase: Phase,
  stages: readonly (StageWeights | null)[],
  init: Exclude<ModuleInit, 'fresh'>,
): (StageWeights | null)[] {
  const context = contextOf(phase, 'cpu');
  return stages.map((stage, i) =>
    stage === null || phase.regimes[i] !== 'trained'
      ? stage
      : grow(phase.blueprint, phase.target, i, stage, init, context),
  );
}

async function weightsFrom(
  source: NonNullable<Source>,
  run: Origin,
  runDir: string,
): Promise<readonly NamedWeights[]> {
  const { meta, model } = run.start;
  if (source === 'start.meta') {
    return weightsOfFile(meta as string, run.meta, run);
  }
  if (source === 'start.model') return weightsOfFile(model as string, run.target, run);
  const { root } = runFolder(runDir).phase(source);
  const checkpoint = loadFinal(root);
  if (checkpoint !== undefined) return weightsIn(checkpoint, source);
  const isModule = source.startsWith('MT/');
  const needsMeta = isModule && run.start.meta === undefined && readResult(runDir, 'PT') === undefined;
  const missing = needsMeta ? ['PT', source] : [source];
  throw new InputError(`${source} has no checkpoint in ${root}`, {
    hint: `run it first: ${ownCommand('run', runDir, '--only', missing.join(','))}`,
  });
}

/** A file's weights in stages of the given depths, with the position embedding fitted to the model's grid. */
async function weightsOfFile(
  name: string,
  depths: readonly number[],
  { start, model, config, familyOf }: Origin,
): Promise<NamedWeights[]> {
  const checkpoint = await readCheckpointFile(name, { weights: start.weights });
  const { file } = checkpoint;
  const isKept = start.head === 'keep';
  const labels = isKept ? { name, classes: classesOf(checkpoint), isOfRun: false } : undefined;
  const family = familyOf(model);
  const head = isKept ? undefined : family.newHead(config, file.stages);
  const { stages } = family.fit(divideStages(head?.stages ?? file.stages, depths, name), config, name);
  return stages.map((weights) => ({
    weights,
    source: name,
    labels,
    ...(head && { isFresh: head.isFresh }),
  }));
}

async function weightsIn(checkpoint: LoadedCheckpoint, phase: PhaseName): Promise<NamedWeights[]> {
  const state = new Map([...checkpoint.model].map(([name, tensor]) => [name, inMemory(tensor)]));
  const stages = await loadAll(stagesOfState(state, checkpoint.folder).stages);
  const from = `${phase} (${checkpoint.folder})`;
  const names = classNamesIn(Object(checkpoint.manifest).classes);
  const labels = { name: phase, classes: names && { names, from, isOurs: true }, isOfRun: true };
  return stages.map((weights) => ({ weights, source: from, labels }));
}
