import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { extname, join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { readAt, replaceFile, withFile, writeAll } from '../../files/file-bytes.js';
import { readSmall } from '../../files/small-file.js';
import { type TarFile, writeTar } from '../../files/tar.js';
import type { ModelFamily } from '../../models/family.js';
import { identityOf, type RunData, readRunData } from '../../phase/images/run-data-file.js';
import { metaHash } from '../../phase/phase-model.js';
import { compile, phaseNamed } from '../../recipe/compile.js';
import { lineageIn } from '../../recipe/lineage.js';
import { type DataOwner, dataOwnerOf, type Phase, type PhaseName, withNeeds } from '../../recipe/phase.js';
import type { StartSettings } from '../../recipe/recipe-start.js';
import { finalCheckpoint } from '../../run/finished-phase.js';
import { readResult, runFolder } from '../../run/run-folder.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { recipeOfRun } from '../run-recipe.js';
import { readCheckpointFile } from '../start/checkpoint-file.js';
import { givenWeights } from '../start/given-weights.js';
import { copyFolder, hasCopy, wantedStart } from '../start/start-copy.js';
import {
  BUNDLE_FILE,
  type BundleContent,
  type BundleFile,
  fileOf,
  freePath,
  withoutMachine,
} from './bundle.js';

/** A file of a bundle, with its size and hash. */
interface Packed extends BundleFile {
  readonly name: string;
  readonly from: Uint8Array | string;
}

export interface PackOptions {
  /** Your own families of models. */
  readonly families?: readonly ModelFamily[] | undefined;
}

/**
 * Packs the files that another machine needs to incubate a module: the recipe without image paths and machine settings,
 * the identity of the images, and the meta model. Images and teachers are not packed.
 * @throws InputError if the recipe has no such module, or the meta model is not trained yet
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * prepareRun(recipe, 'runs/shared');
 * await runPhase({ recipe, phase: 'PT', runDir: 'runs/shared', device: 'cpu' });
 * const { parent } = await packWork('runs/shared', 'MT/1', 'mt1.work.tar');
 * console.log(parent);
 */
export async function packWork(
  runDir: string,
  name: PhaseName,
  out: string,
  { families }: PackOptions = {},
): Promise<BundleContent> {
  const recipe = recipeOfRun(runDir, [], families);
  const phases = compile(recipe);
  const phase = phaseNamed(phases, name);
  if (!name.startsWith('MT/')) throw notModule(name);
  const imported = recipe.start.meta;
  const { weights, start } =
    imported === undefined
      ? { weights: phaseFiles(runDir, phaseNamed(phases, 'PT'), phases), start: recipe.start }
      : await packedMeta(runDir, imported, recipe.start);
  const own = { ...withoutMachine(recipe), start };
  const parent = await metaHash(phase, { runDir, given: givenWeights });
  const data = bundledData(runDir, dataOwnerOf(phase.dataOfRun, phase.name));
  const files = [inMemory('recipe.json', json(own)), ...data, ...weights];
  return write(out, { kind: 'work', phase: phase.name, parent: parent ?? null }, files);
}

/**
 * Packs a finished module, for the run whose meta model it was incubated against.
 * @throws InputError if it is not finished
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * prepareRun(recipe, 'runs/packed');
 * for (const phase of ['PT', 'MT/1'] as const) {
 *   await runPhase({ recipe, phase, runDir: 'runs/packed', device: 'cpu' });
 * }
 * const { files } = packModule('runs/packed', 'MT/1', 'mt1.module.tar');
 * console.log(Object.keys(files));
 */
export function packModule(
  runDir: string,
  name: PhaseName,
  out: string,
  { families }: PackOptions = {},
): BundleContent {
  if (!name.startsWith('MT/')) throw notModule(name);
  const phases = compile(recipeOfRun(runDir, [], families));
  const files = phaseFiles(runDir, phaseNamed(phases, name), phases);
  const { checkpoint } = finalCheckpoint(runFolder(runDir).phase(name).root);
  const parent = checkpoint && lineageIn(checkpoint.manifest)?.parent;
  return write(out, { kind: 'module', phase: name, parent: parent ?? null }, files);
}

/** The identity of the module's images, which the machine that trains it checks. */
function bundledData(runDir: string, owner: DataOwner): Packed[] {
  const identity = identityOf(readRunData(runDir), owner);
  if (identity === undefined) return [];
  const { classes, train, val, digest } = identity;
  const data: RunData = { format: 1, classes, train, val, digest, modules: {}, changes: [] };
  return [inMemory('data.json', json(data))];
}

/** A safetensors file without tensors. A finished phase needs no optimiser state, which would be two thirds of a bundle. */
const NO_TENSORS = Buffer.from('\x08\0\0\0\0\0\0\0{}      ', 'latin1');

/** The files of a finished phase: its result, metrics and last weights. */
function phaseFiles(runDir: string, { name }: Phase, all: readonly Phase[]): Packed[] {
  const { root, result, metrics } = runFolder(runDir).phase(name);
  if (readResult(runDir, name) === undefined) {
    const before = withNeeds(all, [name], (each) => readResult(runDir, each) !== undefined);
    throw new InputError(`${name} is not done in ${runDir}`, {
      hint: `train it first: ${ownCommand('run', runDir, '--only', before.join(','))}`,
    });
  }
  const { checkpoint } = finalCheckpoint(root);
  if (checkpoint === undefined) throw new InputError(`${root} has no complete checkpoint`);
  const { step, folder, manifest } = checkpoint;
  const files = { ...manifest.files, 'optimizer.safetensors': fileOf(NO_TENSORS) };
  const weights = manifest.files['model.safetensors'];
  const place = `${name}/checkpoints`;
  return [
    inMemory(`${name}/result.json`, readSmall(result)),
    ...(existsSync(metrics) ? [inMemory(`${name}/metrics.jsonl`, readSmall(metrics, 2 ** 30))] : []),
    inMemory(`${place}/latest`, Buffer.from(`${step}\n`)),
    inMemory(`${place}/best`, Buffer.from(`${step}\n`)),
    inMemory(`${place}/${step}/manifest.json`, json({ ...manifest, files })),
    inMemory(`${place}/${step}/optimizer.safetensors`, NO_TENSORS),
    {
      name: `${place}/${step}/model.safetensors`,
      from: join(folder, 'model.safetensors'),
      bytes: weights.bytes,
      sha256: weights.sha256,
    },
  ];
}

/** The weights file of an imported meta model, and the recipe's section that names it. */
async function packedMeta(runDir: string, imported: string, start: StartSettings) {
  const wanted = wantedStart(start);
  if (wanted === undefined || !hasCopy(runDir, wanted)) {
    // A run of an earlier version.
    const file = await metaFile(imported, start.weights);
    return { weights: [file], start: { ...start, meta: file.name } };
  }
  const path = join(copyFolder(runDir, wanted), 'model.safetensors');
  const name = 'start/meta.safetensors';
  // The copy has only the chosen weights.
  const { weights: _, ...others } = start;
  return { weights: [{ name, from: path, ...fileOnDisk(path) }], start: { ...others, meta: name } };
}

/** The original weights file of an imported meta model. */
async function metaFile(name: string, weights: WeightsKind | undefined): Promise<Packed> {
  const { file } = await readCheckpointFile(name, { weights });
  if (file.format === 'checkpoint' && weights === 'raw') {
    throw new InputError(
      `start.meta ${name} cannot be packed: its raw weights are not in model.safetensors`,
      {
        hint: `write them as one file: ${convertCommand(name)} --weights raw, and start from that file`,
      },
    );
  }
  const path = file.format === 'checkpoint' ? join(file.path, 'model.safetensors') : file.path;
  const kind = extname(path);
  if (!['.safetensors', '.pth', '.bin'].includes(kind)) {
    throw new InputError(`start.meta ${name} cannot be packed: ${path} is not one file of weights`, {
      hint: `write it as one: ${convertCommand(name)}, and start from that file`,
    });
  }
  return { name: `start/meta${kind}`, from: path, ...fileOnDisk(path) };
}

function convertCommand(name: string): string {
  return ownCommand('convert', name, freePath('meta.safetensors'), '--to', 'deep-incubation');
}

function write(
  out: string,
  about: Pick<BundleContent, 'kind' | 'phase' | 'parent'>,
  packed: readonly Packed[],
): BundleContent {
  if (existsSync(out)) throw new InputError(`${out} already exists`, { hint: 'choose another name' });
  const files = Object.fromEntries(packed.map(({ name, bytes, sha256 }) => [name, { bytes, sha256 }]));
  const content: BundleContent = { format: 'deep-incubation bundle 1', ...about, files };
  const entries = [inMemory(BUNDLE_FILE, json(content)), ...packed];
  replaceFile(out, (descriptor) => writeTar(descriptor, entries.map(tarFile)));
  return content;
}

const CHUNK = 2 ** 22;

function tarFile({ name, bytes, from }: Packed): TarFile {
  const write = (descriptor: number) => {
    if (typeof from !== 'string') return writeAll(descriptor, from);
    eachChunk(from, (chunk) => writeAll(descriptor, chunk), bytes);
  };
  return { name, size: bytes, write };
}

function fileOnDisk(path: string): BundleFile {
  const hash = createHash('sha256');
  let bytes = 0;
  eachChunk(path, (chunk) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  return { bytes, sha256: hash.digest('hex') };
}

/** @throws InputError if the file has fewer than `bytes` bytes */
function eachChunk(path: string, see: (chunk: Uint8Array) => void, bytes?: number): void {
  withFile(path, (file) => {
    const end = bytes ?? file.size;
    for (let at = 0; at < end; at += CHUNK) see(readAt(file, at, Math.min(CHUNK, end - at)));
  });
}

function inMemory(name: string, from: Uint8Array): Packed {
  return { name, from, ...fileOf(from) };
}

/** Formatted JSON, without undefined values. */
function json(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`);
}

function notModule(name: string): InputError {
  return new InputError(`${name} is not a module`, { hint: 'only modules can be exchanged: MT/0, MT/1 ...' });
}
