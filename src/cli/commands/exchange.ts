import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { lockFolder } from '../../files/folder-lock.js';
import { packModule, packWork } from '../../launch/exchange/bundle-pack.js';
import { readBundle, unpackModule, unpackWork } from '../../launch/exchange/bundle-unpack.js';
import { depthSettings, redoPhase } from '../../launch/exchange/redo.js';
import { recipeOfRun } from '../../launch/run-recipe.js';
import { requireNoJobs } from '../../launch/slurm/slurm-jobs.js';
import { compile } from '../../recipe/compile.js';
import type { PhaseName } from '../../recipe/phase.js';
import { readResult, runFolder } from '../../run/run-folder.js';
import { note, print } from '../terminal/output.js';
import { defaultFolder } from './common-options.js';
import { run } from './run.js';

interface UnpackOptions {
  readonly into?: string;
  readonly replace?: true;
  readonly force?: true;
  readonly acceptDataChange?: true;
}

/** `pack`: packs work for another machine, or a finished module. */
export async function pack(path: string, out: string, options: { readonly for?: string }): Promise<void> {
  const { kind, phase, files } = await packed(path, out, options.for);
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  print(`${out}: ${kind === 'work' ? `work for ${phase}` : `module ${phase}`}, ${bytes} bytes`);
}

function packed(path: string, out: string, module: string | undefined) {
  if (module !== undefined) return packWork(path, module as PhaseName, out);
  const root = resolve(path);
  if (!existsSync(root)) throw new InputError(`${path} does not exist`);
  const parent = dirname(root);
  if (basename(parent) !== 'MT') {
    throw new InputError(`${path} is not the folder of a module`, { hint: packHint(path, out) });
  }
  return packModule(dirname(parent), `MT/${basename(root)}` as PhaseName, out);
}

/** Suggests commands that pack a module or work, if `path` is a run. */
function packHint(path: string, out: string): string {
  if (!existsSync(runFolder(path).recipe)) {
    return 'to pack a module, name its folder, such as runs/x/MT/1; to pack work, name a run and --for MT/1';
  }
  const modules = compile(recipeOfRun(path)).filter(({ name }) => name.startsWith('MT/'));
  const done = modules.find(({ name }) => readResult(path, name) !== undefined);
  const [next = done] = modules.filter(({ name }) => readResult(path, name) === undefined);
  const commands = [
    ...(done ? [`to pack a module: ${ownCommand('pack', join(path, done.name), out)}`] : []),
    ...(next ? [`to pack work: ${ownCommand('pack', path, out, '--for', next.name)}`] : []),
  ];
  return commands.join('; ');
}

/** `unpack`: creates a run from packed work, or adds a packed module to a run. */
export async function unpack(bundle: string, options: UnpackOptions): Promise<void> {
  const { content, recipe } = readBundle(bundle);
  if (recipe !== undefined) {
    const { runDir } = await unpackWork(bundle, options.into ?? defaultFolder(recipe));
    const next = ownCommand('run', runDir, '--only', content.phase);
    // A bundle does not contain the path of the images.
    const path =
      recipe.data.format !== 'fashion-mnist'
        ? ', with --set data.path=FOLDER for the folder of your images'
        : '';
    print(`${runDir}: to incubate ${content.phase}${path}: ${next}`);
    return;
  }
  const runDir = options.into;
  if (runDir === undefined) {
    throw new InputError(`${bundle} contains the module ${content.phase}`, {
      hint: 'name the run that it was packed for with --into',
    });
  }
  if (!existsSync(runDir)) throw new InputError(`${runDir} does not exist`);
  if (options.replace) await requireNoJobs(runDir, note);
  const lock = await lockFolder(runDir);
  const { previous } = await unpackModule(bundle, runDir, { ...options, note }).finally(lock.release);
  if (previous !== undefined) note(`The replaced files are in ${previous}.`);
  print(`${runDir}: added ${content.phase}. To train the remaining phases: ${ownCommand('run', runDir)}`);
}

interface RedoOptions {
  readonly set?: readonly string[];
  readonly depth?: number;
  readonly force?: true;
  readonly acceptDataChange?: true;
  readonly quiet?: true;
  readonly json?: true;
}

/** `redo`: moves a phase and all phases that start from it aside, and trains them again. */
export async function redo(runDir: string, name: string, options: RedoOptions): Promise<void> {
  const { set = [], depth, ...others } = options;
  const before = recipeOfRun(runDir);
  const deeper = depth === undefined ? [] : depthSettings(before, name as PhaseName, depth);
  await requireNoJobs(runDir, note);
  const lock = await lockFolder(runDir);
  const redone = (() => {
    try {
      return redoPhase(runDir, name as PhaseName, [...deeper, ...set], options);
    } finally {
      lock.release();
    }
  })();
  const { phases, previous, baseline } = redone;
  if (previous !== undefined && !options.quiet)
    note(`The previous ${phases.join(', ')} moved to ${previous}.`);
  if (baseline !== undefined) {
    note(
      `E2E was kept with its ${baseline.steps} steps. For as many block-passes as the other phases, it now needs ${baseline.planned}. To retrain it: ${ownCommand('redo', runDir, 'E2E')}`,
    );
  }
  await run(runDir, { ...others, only: phases });
}
