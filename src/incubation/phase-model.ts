import { InputError } from '../base/errors.js';
import { type Checkpoint, latestCheckpoint } from '../checkpoint/checkpoint-store.js';
import { readModelFile } from '../checkpoint/model-file.js';
import { runFolder } from '../checkpoint/run-folder.js';
import type { StagedModel } from '../models/staged.js';
import { Generator } from '../torch/random.js';
import { assemble, type StageWeights } from './assemble.js';
import { needsOf, type Phase, type PhaseName } from './phases.js';
import { blueprintOf } from './recipe.js';
import type { Recipe } from './recipe-schema.js';

/**
 * Builds the model of a phase. Its weights are those of `checkpoint` where the phase goes on from one; else
 * each stage has those of the phase that the phase names, or is initialised from (seed, phase).
 * @throws InputError when a phase it starts from has no checkpoint
 */
export async function phaseModel(
  recipe: Recipe,
  phase: Phase,
  from: { readonly runDir: string; readonly checkpoint: Checkpoint | undefined },
  device: string,
): Promise<StagedModel> {
  const generator = new Generator().seed([recipe.seed, 'init', phase.name]);
  const stages = from.checkpoint
    ? await weightsIn(from.checkpoint, phase.name)
    : await startingWeights(phase, from.runDir);
  return assemble(
    blueprintOf(recipe),
    phase.depths,
    stages,
    { device, dtype: 'F32', generator },
    {
      regimes: phase.regimes,
      dropPath: phase.settings.drop_path,
    },
  );
}

async function startingWeights(phase: Phase, runDir: string): Promise<(StageWeights | null)[]> {
  const results = new Map<PhaseName, StageWeights[]>();
  for (const need of needsOf(phase)) results.set(need, await resultOf(runDir, need));
  return phase.sources.map((source, index) =>
    source === null ? null : (results.get(source)?.[index] ?? null),
  );
}

async function weightsIn(checkpoint: Checkpoint, phase: PhaseName): Promise<StageWeights[]> {
  const { stages } = await readModelFile(checkpoint.folder);
  return stages.map((weights) => ({ weights, source: `${phase} (${checkpoint.folder})` }));
}

async function resultOf(runDir: string, phase: PhaseName): Promise<StageWeights[]> {
  const { root } = runFolder(runDir).phase(phase);
  const { checkpoint } = latestCheckpoint(root);
  if (checkpoint !== undefined) return weightsIn(checkpoint, phase);
  throw new InputError(`${phase} has no checkpoint in ${root}`, { hint: `run it first: --only ${phase}` });
}
