import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { errorText, InputError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import {
  makeFolders,
  moveFolder,
  syncFoldersIn,
  temporaryPath,
  writeJsonAtomic,
} from '../../files/atomic.js';
import { withFile } from '../../files/file-bytes.js';
import { withFileErrors } from '../../files/file-errors.js';
import { familiesIn } from '../../models/families/families.js';
import type { ModelFamily } from '../../models/family.js';
import { readModelFile } from '../../models/model-file/model-file.js';
import { type DataChange, identityOf, readRunData, recordChange } from '../../phase/images/run-data-file.js';
import { type ParentOptions, RISK, requireFits, short } from '../../phase/one-parent.js';
import { metaHash, metaStages } from '../../phase/phase-model.js';
import { compile, phaseNamed, phaseOf } from '../../recipe/compile.js';
import { lineageIn, weightsHash } from '../../recipe/lineage.js';
import { dataOwnerOf, type Phase, type PhaseName } from '../../recipe/phase.js';
import { checkedRecipe } from '../../recipe/recipe.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { wholeModel } from '../../run/checkpoint-store.js';
import { readMetrics } from '../../run/metrics-log.js';
import type { PhaseResult } from '../../run/records.js';
import { readJson, readResult, runFolder } from '../../run/run-folder.js';
import { recipeOfRun } from '../run-recipe.js';
import { givenWeights } from '../start/given-weights.js';
import {
  type BundleContent,
  contentOf,
  damaged,
  entriesOf,
  extract,
  freePath,
  jsonOf,
  withoutMachine,
} from './bundle.js';
import { setAside, withDependents } from './redo.js';

export interface UnpackOptions extends ModuleOptions {
  /** If the run already has the module, move it to `previous/` with the phases that start from it. */
  readonly replace?: boolean | undefined;
  /** Your own families of models. */
  readonly families?: readonly ModelFamily[] | undefined;
}

export interface Unpacked {
  readonly content: BundleContent;
  readonly runDir: string;
  /** Folder with the phases that the module has replaced. */
  readonly previous?: string | undefined;
}

/**
 * Reads the description of a bundle and, if it is of the kind `work`, its recipe.
 * @throws InputError if the file is not a bundle, or is damaged
 */
export function readBundle(path: string): { content: BundleContent; recipe: Recipe | undefined } {
  return withFile(path, (file) => {
    const entries = entriesOf(file);
    const content = contentOf(file, entries);
    const found = entries.find(({ name }) => name === 'recipe.json');
    if (content.kind === 'module') return { content, recipe: undefined };
    if (found === undefined) throw damaged(path, 'recipe.json is missing');
    return { content, recipe: strangersRecipe(jsonOf(file, found), path) };
  });
}

/**
 * Unpacks work into a new folder, which becomes a run in which the module can be incubated.
 * @throws InputError if the bundle is damaged, or the folder is not empty
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * prepareRun(recipe, 'runs/lender');
 * await runPhase({ recipe, phase: 'PT', runDir: 'runs/lender', device: 'cpu' });
 * await packWork('runs/lender', 'MT/0', 'mt0.work.tar');
 * // There: a run with the recipe and the meta model.
 * const { runDir } = await unpackWork('mt0.work.tar', 'runs/borrower');
 * console.log(runDir);
 */
export async function unpackWork(
  bundle: string,
  runDir: string,
  { families }: Pick<UnpackOptions, 'families'> = {},
): Promise<Unpacked> {
  const hint = `name a new folder: ${ownCommand('unpack', bundle, '--into', freePath(runDir))}`;
  if (existsSync(runDir) && !statSync(runDir).isDirectory()) {
    throw new InputError(`${runDir} is not a folder`, { hint });
  }
  if (existsSync(runDir) && readdirSync(runDir).length > 0) {
    throw new InputError(`${runDir} already exists`, { hint });
  }
  const target = resolve(runDir);
  return withExtracted(bundle, dirname(target), basename(target), async (content, folder) => {
    if (content.kind !== 'work') throw damaged(bundle, 'it holds no work');
    const given = strangersRecipe(readJson(runFolder(folder).recipe), bundle, families);
    const name = content.phase as PhaseName;
    phaseOf(given, name);
    const at = (root: string): Recipe =>
      given.start.meta === undefined
        ? given
        : { ...given, start: { ...given.start, meta: join(root, 'start', basename(given.start.meta)) } };
    if (given.start.meta === undefined) requireRecords(bundle, folder, 'PT');
    if (
      (await metaHash(phaseOf(at(folder), name), { runDir: folder, given: givenWeights })) !== content.parent
    ) {
      throw damaged(bundle, 'its meta model does not match the recorded one');
    }
    writeJsonAtomic(runFolder(folder).recipe, at(target));
    withFileErrors(target, () => moveFolder(folder, target));
    return { content, runDir };
  });
}

/**
 * Unpacks a module into the run whose meta model it was incubated against. The caller must hold the run.
 * @throws InputError if the bundle is damaged, or the module is of another model, was incubated against another meta
 *   model (unless `force`), was trained on other images (unless `acceptDataChange`), or exists already (unless `replace`)
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * prepareRun(recipe, 'runs/returned');
 * for (const phase of ['PT', 'MT/0'] as const) {
 *   await runPhase({ recipe, phase, runDir: 'runs/returned', device: 'cpu' });
 * }
 * packModule('runs/returned', 'MT/0', 'mt0.module.tar');
 * const { previous } = await unpackModule('mt0.module.tar', 'runs/returned', { replace: true, note: console.log });
 * console.log(previous);
 */
export async function unpackModule(
  bundle: string,
  runDir: string,
  options: UnpackOptions,
): Promise<Unpacked> {
  const phases = compile(recipeOfRun(runDir, [], options.families));
  return withExtracted(bundle, resolve(runDir), 'bundle', async (content, folder) => {
    if (content.kind !== 'module') throw damaged(bundle, 'it contains no module');
    const name = content.phase as PhaseName;
    const phase = phaseNamed(phases, name);
    const change = await requireModule(bundle, phase, { runDir, folder }, options);
    const { root } = runFolder(runDir).phase(name);
    if (existsSync(join(root, 'checkpoints')) && !options.replace) {
      throw new InputError(`${runDir} already has ${name}`, {
        hint: 'use --replace to move it, and the phases that depend on it, to previous/',
      });
    }
    const previous = setAside(runDir, withDependents(phases, runDir, name));
    withFileErrors(root, () => {
      makeFolders(dirname(root));
      moveFolder(runFolder(folder).phase(name).root, root);
    });
    if (change !== undefined) recordChange(runDir, change);
    return { content, runDir, previous };
  });
}

/** Removes image paths and machine settings, such as Slurm's shell lines, because the sender must not choose them. */
function strangersRecipe(input: unknown, bundle: string, families?: readonly ModelFamily[]): Recipe {
  const source = `${bundle}: recipe.json`;
  return checkedRecipe(withoutMachine(checkedRecipe(input, source, families)), source, families);
}

/** Unpacks a bundle into a temporary folder next to its destination. The folder is removed at the end if it still exists. */
async function withExtracted(
  bundle: string,
  parent: string,
  name: string,
  use: (content: BundleContent, folder: string) => Promise<Unpacked>,
): Promise<Unpacked> {
  const folder = temporaryPath(parent, name);
  withFileErrors(parent, () => makeFolders(parent));
  try {
    const content = withFile(bundle, (file) => extract(file, folder));
    withFileErrors(folder, () => syncFoldersIn(folder));
    return await use(content, folder);
  } finally {
    // If the parent is a file, `rmSync` fails even with `force`.
    if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
  }
}

interface ModuleOptions extends ParentOptions {
  /** Accept a module that was trained on different images than the run. Default: the value of `force`. */
  readonly acceptDataChange?: boolean | undefined;
}

/**
 * Checks that the module's checkpoint is undamaged, fits the run's model, and has the frozen stages of its meta model.
 * @returns the difference between its images and those of the run, if it was accepted
 */
async function requireModule(
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
function requireRecords(bundle: string, folder: string, name: PhaseName): PhaseResult {
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
  const { name, start, model } = phase;
  const meta = await metaStages(phase, { runDir, given: givenWeights });
  if (meta === undefined) return `${runDir} has no meta model to compare ${name} with`;
  const own = weightsHash(meta);
  const parent = lineageIn(checkpoint.manifest)?.parent;
  if (parent && parent !== own) {
    return `${name} was incubated against the meta model ${short(parent)}, but that of ${runDir} is ${short(own)}`;
  }
  // A manifest is easily forged, so compare the frozen stages themselves. A new head does not come from the meta model.
  const { stages } = await readModelFile(checkpoint.folder, { families: familiesIn(model) });
  const isCompared = (stage: number) => stage !== Number(name.slice('MT/'.length));
  const isHead = (key: string) => start.head === 'new' && /^head(_dist)?\./.test(key);
  const frozen = (all: typeof stages) =>
    weightsHash(all.map((stage, i) => new Map([...stage].filter(([key]) => isCompared(i) && !isHead(key)))));
  return frozen(stages) === frozen(meta)
    ? undefined
    : `${name} has other frozen stages than the meta model of ${runDir}`;
}
