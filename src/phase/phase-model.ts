import { InputError, RunError } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import { assemble, type StageWeights } from '../method/assemble.js';
import { grow } from '../method/grow.js';
import type { ModuleInit } from '../method/grow-plan.js';
import { type AuxiliaryHeads, auxiliaryHeads } from '../method/local/local-losses.js';
import { classNamesIn } from '../models/model-file/model-file-classes.js';
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
import { broadcastBytes, type Crew, readForAll } from '../training/distributed/crew.js';
import { splitStages } from '../weights/layout/model-file-stages.js';
import type { GivenWeights, NamedWeights, Origin } from './given-weights.js';
import { requireSameLabels, type StartLabels } from './phase-labels.js';

/** Where the weights come from that phases start from. */
export interface PhaseSources {
  readonly runDir: string;
  readonly given: GivenWeights;
}

/** The weights that a phase's model is built from. */
interface PhaseStart {
  /** Weights of each stage; null: initialised from (seed, phase). */
  readonly stages: readonly (StageWeights | null)[];
  /** Hash of the initial weights, including the meta model's stage that a module replaces; null: from scratch or a checkpoint. */
  readonly parent: string | null;
  /** The labels of its head; undefined if the head is new. */
  readonly labels: StartLabels | undefined;
  /** How the weights were adapted to the model's image size. */
  readonly adapted?: readonly string[];
  /** The meta model's stage that a module replaces, if the weights were read from the meta model. */
  readonly replaced?: StageWeights | undefined;
}

/**
 * The weights of a phase's model: those of `checkpoint` if the phase resumes from one; otherwise each stage has the
 * weights of the phase or file in `phase.sources`.
 * @throws InputError if a phase that it starts from has no checkpoint, or a file does not have the weights of the model
 */
export async function phaseStart(
  phase: Phase,
  from: PhaseSources & { readonly checkpoint: LoadedCheckpoint | undefined },
): Promise<PhaseStart> {
  if (from.checkpoint === undefined) return startingWeights(phase, from);
  const stages = weightsIn(from.checkpoint, phase.name);
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
  const encodedLabels = Buffer.from(JSON.stringify(start?.labels ?? null));
  const [length] = await led(1, async () => [encodedLabels.length]);
  const labels: StartLabels | null = JSON.parse(
    Buffer.from(broadcastBytes(group, encodedLabels, length)).toString(),
  );
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
    dropPathSchedule: phase.settings.drop_path_schedule,
    target: phase.target,
  });
}

/** The auxiliary heads of a phase with local losses, initialised from (seed, phase); undefined for other objectives. */
export function phaseHeads(phase: Phase, device: string): AuxiliaryHeads | undefined {
  const { local, blueprint, depths } = phase;
  return local && auxiliaryHeads(blueprint, depths, local, contextOf(phase, device, 'auxiliary'));
}

/** The meta model that a run's modules are incubated against; undefined if it does not exist, or no longer exists. */
export async function metaStages(
  run: Origin,
  from: PhaseSources,
): Promise<StageWeights['weights'][] | undefined> {
  const source = run.start.meta === undefined ? 'PT' : 'start.meta';
  try {
    return (await weightsFrom(source, run, from)).map(({ weights }) => weights);
  } catch (error) {
    if (error instanceof InputError || error instanceof RunError) return undefined;
    throw error;
  }
}

/** The hash of the meta model that a run's modules are incubated against. */
export async function metaHash(run: Origin, from: PhaseSources): Promise<string | undefined> {
  const stages = await metaStages(run, from);
  return stages && weightsHash(stages);
}

const hashOf = (stages: readonly StageWeights[]) => weightsHash(stages.map(({ weights }) => weights));

interface MetaStageOptions extends PhaseSources {
  readonly device: string;
  /** The weights of the stage, if they have been read already. */
  readonly replaced: StageWeights | undefined;
}

/**
 * The stage of the meta model that the phase's module replaces, frozen. All processes that train together call this, and
 * rank 0 reads the weights.
 */
export async function metaStageForAll(
  crew: Crew,
  phase: Phase,
  { device, replaced, ...from }: MetaStageOptions,
): Promise<Stage> {
  const index = phase.regimes.indexOf('trained');
  const given = phase.start.meta === undefined ? 'PT' : 'start.meta';
  const parent = phase.sources.find((source) => source !== null) ?? given;
  const read = async () => {
    const { weights, source } = replaced ?? (await weightsFrom(parent, phase, from))[index];
    return { about: source, tensors: [weights] };
  };
  const found = await readForAll(crew, read);
  if (found === undefined) throw new RangeError(`${parent} has no stage ${index}`);
  const { about: source, tensors } = found;
  const stage = buildStage(
    phase.blueprint,
    { depths: phase.meta, target: phase.target },
    index,
    contextOf(phase, device),
  );
  loadWeights(stage, tensors[0], `${source}, stage ${index}`);
  stage.setTrainable(false);
  return stage;
}

function contextOf(phase: Phase, device: string, ...key: readonly string[]): InitContext {
  const generator = new Generator().seed([phase.seed, 'init', phase.name, ...key]);
  return { device, dtype: 'F32', generator };
}

async function startingWeights(phase: Phase, from: PhaseSources): Promise<PhaseStart> {
  const { sources } = phase;
  const known = new Map<Source, readonly NamedWeights[]>();
  for (const source of new Set(sources)) {
    if (source !== null) known.set(source, await weightsFrom(source, phase, from));
  }
  const stages = sources.map((source, index) => known.get(source)?.[index] ?? null);
  // With one source, the parent is all of it, including the stage that a module replaces; with several, only the used stages.
  const [first] = known.values();
  const parent = known.size === 1 ? first : stages.filter((stage) => stage !== null);
  const labels = [...known.values()].flatMap(([{ labels }]) => labels ?? []);
  requireSameLabels(labels);
  const adapted = [...known.values()].flatMap(([{ adapted }]) => adapted ?? []);
  const built = phase.init === 'fresh' ? stages : grownStages(phase, stages, phase.init);
  const replaced = known.size === 1 ? first[phase.regimes.indexOf('trained')] : undefined;
  return {
    stages: built,
    parent: known.size === 0 ? null : hashOf(parent),
    labels: labels[0],
    adapted,
    replaced,
  };
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
  { runDir, given }: PhaseSources,
): Promise<readonly NamedWeights[]> {
  if (source === 'start.meta' || source === 'start.model') return given.start(source, run, runDir);
  const { root } = runFolder(runDir).phase(source);
  const checkpoint = loadFinal(root);
  if (checkpoint !== undefined) return weightsIn(checkpoint, source);
  const isModule = source.startsWith('MT/');
  const needsMeta = isModule && run.start.meta === undefined && readResult(runDir, 'PT') === undefined;
  const missing = needsMeta ? ['PT', source] : [source];
  throw new InputError(`${source} has no checkpoint in ${root}`, {
    hint: `train it first: ${ownCommand('run', runDir, '--only', missing.join(','))}`,
  });
}

function weightsIn(checkpoint: LoadedCheckpoint, phase: PhaseName): NamedWeights[] {
  const stages = splitStages(checkpoint.model, checkpoint.folder, () => undefined);
  const from = `${phase} (${checkpoint.folder})`;
  const names = classNamesIn(Object(checkpoint.manifest).classes);
  const labels = { name: phase, classes: names && { names, from, isOurs: true }, isOfRun: true };
  return stages.map((weights) => ({ weights, source: from, labels }));
}
