import { statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { elementCount, type TensorData } from '../../base/tensor-data.js';
import type { ModelFile } from '../../checkpoint/model-file.js';
import { type Geometry, inferGeometry } from '../../checkpoint/model-file-geometry.js';
import { bytes } from '../../report/format.js';
import { type Manifest, readCheckpointFile } from '../checkpoint-file.js';
import { columns, note, print, printJson } from '../output.js';

interface InspectOptions {
  readonly tensors?: true;
  readonly json?: true;
}

/** `inspect`: what a checkpoint holds. */
export async function inspect(path: string, options: InspectOptions): Promise<void> {
  const { file, manifest } = await readCheckpointFile(path, note);
  const facts = factsOf(file, manifest);
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

function factsOf(file: ModelFile, manifest: Manifest | undefined) {
  const tensors = file.stages.flatMap((stage) => [...stage.values()]);
  const geometry = geometryOf(file);
  const weights = file.format === 'checkpoint' ? join(file.path, 'model.safetensors') : file.path;
  return {
    checkpoint: file.path,
    format: file.format,
    bytes: statSync(weights).size,
    dtypes: [...new Set(tensors.map(({ dtype }) => dtype))],
    parameters: parametersOf(tensors),
    stages: file.stages.map((stage, i) => ({
      blocks: geometry?.depths[i] ?? null,
      tensors: stage.size,
      parameters: parametersOf([...stage.values()]),
    })),
    /** Null where the weights are not a vision transformer's. */
    geometry: geometry === undefined ? null : snakeCase(geometry),
    epoch: file.epoch ?? null,
    metadata: file.metadata,
    manifest: manifest ?? null,
  };
}

/** What the shapes tell, or nothing where they are not those of a vision transformer. */
function geometryOf(file: ModelFile): Geometry | undefined {
  try {
    return inferGeometry(file.stages, file.path);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    note(`not a whole vision transformer: ${error.message}`);
    return undefined;
  }
}

function parametersOf(tensors: readonly TensorData[]): number {
  return tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

function snakeCase(geometry: Geometry): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(geometry).map(([key, value]) => [
      key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}

function printFacts(facts: Facts): void {
  const { geometry, manifest } = facts;
  const rows = [
    ['checkpoint', facts.checkpoint],
    ['format', `${facts.format}, ${bytes(facts.bytes)}, ${facts.dtypes.join(' and ')}`],
    ['parameters', facts.parameters.toLocaleString('en-US')],
    ...(geometry
      ? Object.entries(geometry).map(([key, value]) => [
          key.replaceAll('_', ' '),
          String(value).replaceAll(',', ' '),
        ])
      : []),
    ...(facts.epoch === null ? [] : [['epoch', String(facts.epoch)]]),
    ...Object.entries(facts.metadata).map(([key, value]) => [key, value]),
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

function trainingRows({ phase, step, seed, model, last }: Manifest): string[][] {
  return [
    ['trained in', `${phase}, step ${step.toLocaleString('en-US')}, seed ${seed}`],
    ['recipe', JSON.stringify(model)],
    ...(last
      ? [
          [
            'evaluated',
            `at step ${last.step}: top-1 ${last.top1.toFixed(2)} %, top-5 ${last.top5.toFixed(2)} %, loss ${last.loss.toFixed(4)}`,
          ],
        ]
      : []),
  ];
}
