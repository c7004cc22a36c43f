import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError } from '../../base/errors.js';
import { freePath } from '../../base/free-path.js';
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
import { recordChange } from '../../phase/images/run-data-file.js';
import { metaHash } from '../../phase/phase-model.js';
import { compile } from '../../recipe/compile.js';
import type { PhaseName } from '../../recipe/phase.js';
import { phaseNamed, phaseOf } from '../../recipe/phases.js';
import { checkedRecipe } from '../../recipe/recipe.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { readJson, runFolder } from '../../run/run-folder.js';
import { recipeOfRun } from '../run-recipe.js';
import { givenWeights } from '../start/given-weights.js';
import { type BundleContent, withoutMachine } from './bundle.js';
import { contentOf, damaged, entriesOf, extract, jsonOf } from './bundle-archive.js';
import type { ModuleOptions } from './bundle-checks.js';
import { requireModule, requireRecords } from './bundle-checks.js';
import { setAside, withDependents } from './redo.js';

export interface UnpackOptions extends ModuleOptions {
  /** If the run already has the module, move it to `previous/` with the phases that start from it. */
  readonly replace?: boolean | undefined;
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
export async function unpackWork(bundle: string, runDir: string): Promise<Unpacked> {
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
    const given = strangersRecipe(readJson(runFolder(folder).recipe), bundle);
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
  const phases = compile(recipeOfRun(runDir));
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
function strangersRecipe(input: unknown, bundle: string): Recipe {
  const source = `${bundle}: recipe.json`;
  return checkedRecipe(withoutMachine(checkedRecipe(input, source)), source);
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
