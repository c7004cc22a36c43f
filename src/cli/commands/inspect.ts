import { statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { numbered } from '../../data/class-names.js';
import { classesOf } from '../../launch/start/checkpoint-classes.js';
import {
  type CheckpointFile,
  familyOfCheckpoint,
  MANIFEST_ENTRY,
  type Manifest,
} from '../../launch/start/checkpoint-file.js';
import { type WeightsFacts, wholeFacts } from '../../models/family.js';
import { CLASS_NAMES, type ModelHints } from '../../models/layout.js';
import type { ModelFile } from '../../models/model-file/model-file.js';
import { bytes, EVAL_LOSS } from '../../report/format.js';
import { labelledScore } from '../../run/metric.js';
import { metricsOfRecipe } from '../../tasks/metrics.js';
import { taskOfModel } from '../../tasks/tasks.js';
import { countParameters } from '../../weights/count-parameters.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { openCheckpoint } from '../checkpoint/open-checkpoint.js';
import { columns, note, print, printJson } from '../terminal/output.js';

interface InspectOptions {
  readonly tensors?: true;
  readonly weights?: WeightsKind;
  readonly json?: true;
}

/** `inspect`: prints the content of a checkpoint. */
export async function inspect(path: string, options: InspectOptions): Promise<void> {
  const checkpoint = await openCheckpoint(path, options.weights);
  const { file } = checkpoint;
  const facts = factsOf(checkpoint);
  const tensors = file.stages.flatMap((stage, i) =>
    [...stage].map(([name, { dtype, shape }]) => ({ stage: i, name, dtype, shape })),
  );
  if (options.json) {
    printJson({ ...facts, ...(options.tensors && { tensors }) });
    return;
  }
  printFacts(facts);
  if (options.tensors) {
    const rows = tensors.map(({ stage, name, dtype, shape }) => [
      String(stage),
      name,
      dtype,
      `[${shape.join(', ')}]`,
    ]);
    print('', ...columns([['stage', 'tensor', 'dtype', 'shape'], ...rows], 4));
  }
}

type Facts = ReturnType<typeof factsOf>;

function factsOf(checkpoint: CheckpointFile) {
  const { name, file, manifest } = checkpoint;
  const tensors = file.stages.flatMap((stage) => [...stage.values()]);
  const geometry = geometryOf(checkpoint);
  const classes = geometry && classesOf(checkpoint);
  return {
    checkpoint: name,
    format: file.format,
    layout: file.layout,
    bytes: bytesOf(file, tensors),
    dtypes: [...new Set(tensors.map(({ dtype }) => dtype))],
    parameters: countParameters(file.stages),
    stages: file.stages.map((stage, i) => ({
      blocks: geometry?.depths[i] ?? null,
      tensors: stage.size,
      parameters: countParameters([stage]),
    })),
    /** Null if the weights are not a whole model of a known family. */
    geometry: geometry === undefined ? null : snakeCase(geometry),
    /** Facts from files next to the weights that the weights themselves do not contain. */
    hints: snakeCase(file.hints),
    /** The chosen weights (averaged or plain) and the other kinds in the file; null if there is no choice. */
    weights: file.chosen ?? null,
    left_out: file.leftOut,
    epoch: file.epoch ?? null,
    metadata: file.metadata,
    /** The class names by label, and their source. */
    class_names: classes?.names ?? null,
    class_names_from: classes?.from ?? null,
    manifest: manifest ?? null,
  };
}

/** Facts that follow from the shapes; undefined if they are not those of a whole model of a known family. */
function geometryOf(checkpoint: CheckpointFile): WeightsFacts | undefined {
  let title = 'model of a built-in family';
  try {
    const family = familyOfCheckpoint(checkpoint);
    title = family.title;
    return wholeFacts(family, checkpoint.file, checkpoint.manifest?.model);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    note(`not a complete ${title}: ${error.message}`);
    return undefined;
  }
}

/** Size of the file; for a model in several files, the total size of its tensors. */
function bytesOf({ path, format }: ModelFile, tensors: readonly TensorData[]): number {
  if (path.endsWith('.json')) return tensors.reduce((sum, { data }) => sum + data.length, 0);
  return statSync(format === 'checkpoint' ? join(path, 'model.safetensors') : path).size;
}

function snakeCase(facts: WeightsFacts | ModelHints): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(facts).map(([key, value]) => [
      key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}

function printFacts(facts: Facts): void {
  const { geometry, hints, manifest } = facts;
  const rows = [
    ['checkpoint', facts.checkpoint],
    ['format', `${facts.format}, ${bytes(facts.bytes)}, ${facts.dtypes.join(' and ')}`],
    ['layout', facts.layout],
    ['parameters', facts.parameters.toLocaleString('en-US')],
    ...rowsOf(geometry ?? {}),
    ...rowsOf(hints, 'from config files: '),
    ...(facts.epoch === null ? [] : [['epoch', String(facts.epoch)]]),
    ...(facts.class_names === null
      ? []
      : [['class names', `${numbered(facts.class_names)} (${facts.class_names_from})`]]),
    ...Object.entries(facts.metadata).filter(([key]) => key !== CLASS_NAMES && key !== MANIFEST_ENTRY),
    ...(manifest ? trainingRows(manifest) : []),
  ];
  const stages = facts.stages.map(({ blocks, tensors, parameters }, i) => [
    String(i),
    blocks === null ? '?' : String(blocks),
    String(tensors),
    parameters.toLocaleString('en-US'),
  ]);
  print(...columns(rows, 2), '', ...columns([['stage', 'blocks', 'tensors', 'parameters'], ...stages]));
}

function rowsOf(facts: Readonly<Record<string, unknown>>, prefix = ''): string[][] {
  return Object.entries(facts).map(([key, value]) => [
    prefix + key.replaceAll('_', ' '),
    String(value).replaceAll(',', ' '),
  ]);
}

function trainingRows(manifest: Manifest): string[][] {
  const { phase, step, seed, model, task = taskOfModel(model), last } = manifest;
  return [
    ['trained in', `${phase}, step ${step.toLocaleString('en-US')}, seed ${seed}`],
    ['task', task],
    ['recipe', JSON.stringify(model)],
    ...(last ? [['evaluated', `at step ${last.step}: ${scoresText(last, manifest)}`]] : []),
  ];
}

function scoresText(last: NonNullable<Manifest['last']>, manifest: Manifest): string {
  const { shown } = metricsOfRecipe(manifest);
  const scores = shown.map((metric) => labelledScore(metric, last));
  return [...scores, `${EVAL_LOSS} ${last.loss.toFixed(4)}`].join(', ');
}
