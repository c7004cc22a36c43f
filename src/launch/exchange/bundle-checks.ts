import { errorText, InputError } from '../../base/errors.js';
import { freePath } from '../../base/free-path.js';
import { ownCommand } from '../../base/shell.js';
import { readModelFile } from '../../models/model-file/model-file.js';
import type { DataChange } from '../../phase/images/run-data-file.js';
import { identityOf, readRunData } from '../../phase/images/run-data-file.js';
import { type ParentOptions, RISK, requireFits, short } from '../../phase/one-parent.js';
import { metaStages } from '../../phase/phase-model.js';
import { lineageIn, weightsHash } from '../../recipe/lineage.js';
import type { Phase, PhaseName } from '../../recipe/phase.js';
import { dataOwnerOf } from '../../recipe/phase-data.js';
import { wholeModel } from '../../run/checkpoint-store.js';
import { readMetrics } from '../../run/metrics-log.js';
import type { PhaseResult } from '../../run/records.js';
import { readResult, runFolder } from '../../run/run-folder.js';
import { givenWeights } from '../start/given-weights.js';
import { damaged } from './bundle-archive.js';

export interface ModuleOptions extends ParentOptions {
  /** Accept a module that was trained on different images than the run. Default: the value of `force`. */
  readonly acceptDataChange?: boolean | undefined;
}

/**
 * Checks that the module's checkpoint is undamaged, fits the run's model, and has the frozen stages of its meta model.
 * @returns the difference between its images and those of the run, if it was accepted
 */
export async function requireModule(
  bundle: string,
  phase: Phase,
  place: { readonly runDir: string; readonly folder: string },
  options: ModuleOptions,
): Promise<DataChange | undefined> {
  const { force = false, note } = options;
  const { name } = phase;
  const { runDir, folder } = place;
  const { steps } = requireRecords(bundle, folder, name);
  const found = wholeModel(runFolder(folder).phase(name).root, steps);
  if ('reason' in found) {
    throw damaged(bundle, `${name} has no complete checkpoint of its last step, ${steps}: ${found.reason}`);
  }
  const { checkpoint } = found;
  const { model } = checkpoint.manifest;
  if (typeof model !== 'object' || model === null) throw damaged(bundle, 'its manifest lists no model');
  requireFits(phase, runDir, checkpoint.manifest);

  const change = requireSameImages(phase, runDir, checkpoint.manifest, options);
  const problem = await strangeParent(phase, runDir, checkpoint);
  if (problem === undefined) return change;
  if (force) {
    note(`${problem}. Forced: ${RISK}`);
    return change;
  }
  throw new InputError(problem, {
    hint: `incubate it again: ${packCommand(runDir, name)}; or --force: ${RISK}`,
  });
}

function packCommand(runDir: string, name: PhaseName): string {
  const bundle = freePath(`${name.toLowerCase().replace('/', '')}.work.tar`);
  return ownCommand('pack', runDir, bundle, '--for', name);
}

/** Checks that the module was trained on the run's images, if both are known. */
function requireSameImages(
  { name, dataOfRun }: Phase,
  runDir: string,
  manifest: Readonly<Record<string, unknown>>,
  { force = false, acceptDataChange = force, note }: ModuleOptions,
): DataChange | undefined {
  const wanted = identityOf(readRunData(runDir), dataOwnerOf(dataOfRun, name));
  const { digest, train_images: images } = Object(manifest.data);
  if (digest !== undefined && digest === wanted?.digest) return undefined;
  if (typeof digest !== 'string') {
    note(`unknown: the training images of ${name}; its checkpoint of an older version does not record them`);
  } else if (wanted === undefined) {
    note(`unknown: whether ${name} was trained on the images of ${runDir}, which has no data.json`);
  } else {
    const here = `${wanted.train.images}, digest ${short(wanted.digest)}`;
    const problem = `${name} was trained on other images (${String(images)}, digest ${short(digest)}) than ${runDir} (${here})`;
    if (!acceptDataChange) {
      throw new InputError(problem, {
        hint: 'train it on the same images; or, if the classes are the same, use --accept-data-change',
      });
    }
    note(`accepted: ${problem}; its labels may mean other classes`);
    const time = new Date().toISOString();
    return { time, of: name, changes: [problem], before: wanted.digest, after: digest };
  }
  return undefined;
}

/** Checks that the files that `status` and reports will read of a phase are valid. */
export function requireRecords(bundle: string, folder: string, name: PhaseName): PhaseResult {
  const result = readResult(folder, name);
  if (result === undefined) throw damaged(bundle, `${name} has no result.json`);
  if (result.phase !== name) {
    throw damaged(bundle, `${name}/result.json belongs to ${JSON.stringify(result.phase)}`);
  }
  try {
    readMetrics(runFolder(folder).phase(name).metrics);
  } catch (error) {
    throw damaged(bundle, errorText(error));
  }
  return result;
}

async function strangeParent(
  phase: Phase,
  runDir: string,
  checkpoint: { readonly folder: string; readonly manifest: Readonly<Record<string, unknown>> },
): Promise<string | undefined> {
  const { name, start } = phase;
  const meta = await metaStages(phase, { runDir, given: givenWeights });
  if (meta === undefined) return `${runDir} has no meta model to compare ${name} with`;
  const own = weightsHash(meta);
  const parent = lineageIn(checkpoint.manifest)?.parent;
  if (parent && parent !== own) {
    return `${name} was incubated against the meta model ${short(parent)}, but that of ${runDir} is ${short(own)}`;
  }
  // A manifest is easily forged, so compare the frozen stages themselves. A new head does not come from the meta model.
  const { stages } = await readModelFile(checkpoint.folder);
  const isCompared = (stage: number) => stage !== Number(name.slice('MT/'.length));
  const isHead = (key: string) => start.head === 'new' && /^head(_dist)?\./.test(key);
  const frozen = (all: typeof stages) =>
    weightsHash(all.map((stage, i) => new Map([...stage].filter(([key]) => isCompared(i) && !isHead(key)))));
  return frozen(stages) === frozen(meta)
    ? undefined
    : `${name} has other frozen stages than the meta model of ${runDir}`;
}
