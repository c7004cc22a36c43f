import { existsSync, statSync } from 'node:fs';
import { InputError } from '../../base/errors.js';
import { versions } from '../../base/versions.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import { type ModelOfCheckpoint, modelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import { decoderOf } from '../../models/dense/decoder-config.js';
import { familyOf } from '../../models/families/families.js';
import { joinStages } from '../../models/model-file/model-file-write.js';
import {
  dataPathOf,
  type ModelFacts,
  metadataOf,
  type Normalisation,
  OPERATOR_SET,
  writeOnnx,
} from '../../onnx/write.js';
import { blueprintOf, modelConfigOf } from '../../recipe/recipe-model.js';
import { bytes } from '../../report/format.js';
import { scoreOf } from '../../run/metric.js';
import { metricsOfRecipe } from '../../tasks/metrics.js';
import { countParameters } from '../../weights/count-parameters.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { knownClasses } from '../checkpoint/classes.js';
import { openCheckpoint } from '../checkpoint/open-checkpoint.js';
import { columns, note, noteAssumed, print, printJson } from '../terminal/output.js';

interface ExportOptions {
  readonly withNormalisation?: true;
  readonly classes?: string;
  readonly externalData?: true;
  readonly recipe?: string;
  readonly set?: readonly string[];
  readonly force?: true;
  readonly weights?: WeightsKind;
  readonly json?: true;
}

/** `export`: writes a checkpoint as an ONNX model. */
export async function exportModel(name: string, out: string, options: ExportOptions): Promise<void> {
  requireFree(out, options.force ?? false);
  const checkpoint = await openCheckpoint(name, options.weights);
  const known = modelOfCheckpoint(checkpoint, { recipe: options.recipe, settings: options.set ?? [] });
  for (const line of known.differences) note(line);
  noteAssumed(known.assumptions);
  const { recipe } = known;
  const family = familyOf(recipe.model);
  if (family.onnxGraph === undefined) throw new InputError(`a ${family.title} cannot be exported as ONNX`);
  const config = modelConfigOf(recipe);
  const weights = weightsFor(known, checkpoint);
  const { category } = recipe.data;
  const classNames = knownClasses(checkpoint, { count: config.classes, stated: options.classes, category })
    .named?.names;
  const { mean, std } = recipe.data;
  const normalisation: Normalisation = { mean, std, inside: options.withNormalisation ?? false };
  // Pixels are labelled at the size of the image, without a crop.
  const evalCrop = decoderOf(config) ? undefined : recipe.data.eval_crop;
  const geometry = { ...family.describe(config), depth: blueprintOf(recipe).depth };
  const facts: ModelFacts = {
    config,
    geometry,
    normalisation,
    evalCrop,
    classNames,
    origin: originOf(checkpoint),
  };
  const producer = { name: 'deep-incubation', version: versions()['deep-incubation'] };
  const { path } = checkpoint.file;
  const graph = family.onnxGraph(config, weights, path, normalisation.inside ? { normalisation } : {});
  const files = writeOnnx(
    out,
    { graph, producer, metadata: metadataOf(facts) },
    { external: options.externalData ?? false },
  );

  const result: Result = {
    checkpoint: checkpoint.name,
    out,
    data: files.data ?? null,
    opset: OPERATOR_SET,
    pixels: graph.inputs[0].shape,
    normalised_inside: normalisation.inside,
    mean,
    std,
    logits: graph.outputs[0].shape,
    class_names: classNames !== undefined,
    parameters: countParameters([weights]),
    bytes: files.bytes,
  };
  if (options.json) printJson(result);
  else printResult(result);
}

/** Throws `InputError` if an output file exists and may not be overwritten, or is a folder. */
function requireFree(out: string, force: boolean): void {
  for (const path of [out, dataPathOf(out)]) {
    if (!existsSync(path)) continue;
    if (statSync(path).isDirectory()) {
      throw new InputError(`${path} is a folder, but a model is written to a file`, {
        hint: 'choose an output file, such as model.onnx',
      });
    }
    if (force) continue;
    throw new InputError(`${path} already exists`, {
      hint: 'choose another output path, or --force to overwrite it',
    });
  }
}

/** The weights of the undivided model, adapted to the model's image size. */
function weightsFor({ recipe }: ModelOfCheckpoint, { file }: CheckpointFile) {
  const whole = [joinStages(file.stages, file.path)];
  const { stages, note: change } = familyOf(recipe.model).fit(whole, modelConfigOf(recipe), file.path);
  if (change !== undefined) note(change);
  return stages[0];
}

function originOf({ name, manifest }: CheckpointFile): Record<string, string> {
  if (manifest === undefined) return { checkpoint: name };
  const { phase, step, seed, last } = manifest;
  const { primary } = metricsOfRecipe(manifest);
  return {
    checkpoint: name,
    phase,
    step: String(step),
    seed: String(seed),
    ...(last && { [primary.name]: String(scoreOf(last, primary)) }),
  };
}

interface Result {
  readonly checkpoint: string;
  readonly out: string;
  /** Path of the external weights file, if there is one. */
  readonly data: string | null;
  readonly opset: number;
  readonly pixels: readonly (number | string)[];
  /** Whether the model normalises pixels itself, so that it takes values from 0 to 1. */
  readonly normalised_inside: boolean;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly logits: readonly (number | string)[];
  /** Whether the model's metadata contains the class names. */
  readonly class_names: boolean;
  readonly parameters: number;
  readonly bytes: number;
}

function printResult(result: Result): void {
  const rows = [
    ['written', result.data === null ? result.out : `${result.out}, ${result.data}`],
    ['pixels', `[${result.pixels.join(', ')}], float32`],
    ['', pixelText(result)],
    ['logits', `[${result.logits.join(', ')}]`],
    ['parameters', result.parameters.toLocaleString('en-US')],
    ['size', bytes(result.bytes)],
  ];
  print(...columns(rows, 2));
}

function pixelText({ pixels, mean, std, normalised_inside: isInside }: Result): string {
  const raw = pixels[1] === 1 ? 'grey / 255' : 'RGB / 255';
  return isInside ? raw : `(${raw} - [${mean.join(', ')}]) / [${std.join(', ')}]`;
}
