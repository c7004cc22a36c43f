import { isDeepStrictEqual } from 'node:util';
import { InputError } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import { hybridDepths } from '../method/hybrid.js';
import type { ModelSection } from '../models/family.js';
import { lineageIn } from '../recipe/lineage.js';
import type { Phase } from '../recipe/phase.js';
import { newestManifest } from '../run/checkpoint-store.js';
import { runFolder } from '../run/run-folder.js';
import { metaHash, type PhaseSources } from './phase-model.js';

/** How to handle modules that do not belong together. */
export interface ParentOptions {
  /** Assemble them anyway, and report the risk with `note`. */
  readonly force?: boolean | undefined;
  readonly note: (line: string) => void;
}

/** The first 12 characters of a hash, for messages. */
export const short = (hash: string): string => hash.slice(0, 12);

export const RISK =
  'modules of different meta models were trained for different neighbours: the assembled model may start ' +
  'near chance, and fine-tuning may not recover it';

/**
 * Checks that the modules of a phase were incubated against one meta model: that of the run, if it exists. Skips missing
 * modules, and checkpoints of versions without lineage, whose meta model is unknown.
 * @throws InputError naming each module and its meta model; or, even with `force`, a module of a different geometry
 */
export async function requireOneParent(
  phase: Phase,
  { runDir, given }: PhaseSources,
  { force = false, note }: ParentOptions,
): Promise<void> {
  const names = [...new Set(phase.sources)].filter((source) => source?.startsWith('MT/')) as `MT/${number}`[];
  const modules = names.flatMap((name): [name: string, parent: string][] => {
    // The weights are verified later, when they are loaded.
    const manifest = newestManifest(runFolder(runDir).phase(name).root);
    if (manifest === undefined) return [];
    const depths = hybridDepths(phase.target, phase.meta, Number(name.slice('MT/'.length)));
    requireFits({ ...phase, name, depths }, runDir, manifest);
    const parent = lineageIn(manifest)?.parent;
    return parent ? [[name, parent]] : [];
  });
  if (modules.length === 0) return;

  const meta = await metaHash(phase, { runDir, given });
  const own = meta ?? mostCommon(modules.map(([, parent]) => parent));
  const strangers = modules.filter(([, parent]) => parent !== own).map(([name]) => name);
  if (strangers.length === 0) return;
  const each = modules.map(([name, parent]) => `${name} against ${short(parent)}`).join(', ');
  const runs = meta === undefined ? '' : `; the run's meta model is ${short(meta)}`;
  const problem = `${phase.name}: its modules were incubated against different meta models: ${each}${runs}`;
  if (force) return note(`${problem}. Forced: ${RISK}`);
  throw new InputError(problem, {
    hint: `incubate ${strangers.join(', ')} again: ${ownCommand('redo', runDir, strangers[0])}; or --force: ${RISK}`,
  });
}

type Fitting = Pick<Phase, 'name' | 'depths' | 'model' | 'familyOf' | 'recipeName'>;

/**
 * Checks that a checkpoint fits a phase.
 * @param manifest of the checkpoint
 * @throws InputError if it belongs to another phase, or its model is not the model of the recipe
 */
export function requireFits(
  { name, depths, model, familyOf, recipeName }: Fitting,
  runDir: string,
  manifest: Readonly<Record<string, unknown>>,
): void {
  if (manifest.phase !== name) {
    throw new InputError(`${name} contains a checkpoint of ${String(manifest.phase)}`, {
      hint: `restore the original, or retrain it: ${ownCommand('redo', runDir, name)}`,
    });
  }
  if (!isDeepStrictEqual(manifest.depths, depths)) {
    throw new InputError(
      `${name} has stages of ${String(manifest.depths)} blocks, but the recipe says ${String(depths)}`,
      {
        hint: `set model.depth and incubation.depths to match it, or retrain it: ${ownCommand('redo', runDir, name)}`,
      },
    );
  }
  const [found, wanted] = [manifest.model as ModelSection, model].map((each) => {
    const family = familyOf(each);
    return { ...family.identity(family.configOf(each, recipeName)) };
  });
  const key = Object.keys(wanted).find(
    (each) => !isDeepStrictEqual(Reflect.get(found, each), Reflect.get(wanted, each)),
  );
  if (key === undefined) return;
  throw new InputError(
    `${name} belongs to another model: ${key} ${Reflect.get(found, key)}, but the recipe's has ${Reflect.get(wanted, key)}`,
    { hint: 'use a module that was incubated for this recipe' },
  );
}

function mostCommon(values: readonly string[]): string {
  const count = (value: string) => values.filter((each) => each === value).length;
  return [...values].sort((a, b) => count(b) - count(a))[0];
}
