import type { Batch } from '../../data/loader/batch.js';
import type { StagedModel } from '../../models/staged.js';
import type { Phase } from '../../recipe/phases.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { type Metric, scoreOf } from '../../run/metric.js';
import type { MetricRecord } from '../../run/records.js';
import { openEventFile } from '../../run/tensorboard/event-file.js';
import {
  type Hparam,
  histogram,
  image,
  scalar,
  sessionEnd,
  sessionStart,
} from '../../run/tensorboard/events.js';
import { histogramOf } from '../../run/tensorboard/histogram.js';
import { noGrad } from '../../torch/autograd.js';
import { to } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { sheetOf } from './image-sheet.js';

/** What TensorBoard is shown of a phase, while it trains. */
export interface PhaseEvents {
  record(record: MetricRecord): void;
  /** Histograms of the weights, where the recipe asks for them at this step. */
  weights(step: number, model: Pick<StagedModel, 'trainedParameters'>): void;
  /** The same batches; the images of the first are shown, where the recipe asks for it. */
  watching(batches: AsyncIterable<Batch>): AsyncIterable<Batch>;
  done(): void;
}

/** Where nothing is to be written. */
export const NO_EVENTS: PhaseEvents = {
  record: () => {},
  weights: () => {},
  watching: (batches) => batches,
  done: () => {},
};

interface EventsPlace {
  readonly folder: string;
  readonly fromStep: number;
  /** Those of an evaluation that are written. */
  readonly metrics: readonly Metric[];
}

/**
 * Opens a phase's event files, as `run.tensorboard` says. What is written depends on the training; the training does
 * not depend on it.
 */
export function openPhaseEvents(
  recipe: Recipe,
  phase: Phase,
  { folder, fromStep, metrics }: EventsPlace,
): PhaseEvents {
  const settings = recipe.run.tensorboard;
  if (settings === false) return NO_EVENTS;
  const file = openEventFile(folder, { fromStep });
  if (fromStep === 0) file.append(0, [sessionStart(hparamsOf(recipe, phase), Date.now() / 1000)]);
  const every = settings.histograms_every;
  return {
    record: (record) =>
      file.append(
        record.step,
        scalarsOf(record, metrics).map(([tag, value]) => scalar(tag, value)),
      ),
    weights: (step, model) => {
      if (every !== null && step % every === 0) file.append(step, histogramsOf(model));
    },
    watching: (batches) => (settings.images && fromStep === 0 ? showFirst(batches, file.append) : batches),
    done: () => file.append(0, [sessionEnd(Date.now() / 1000)]),
  };
}

function scalarsOf(
  record: MetricRecord,
  metrics: readonly Metric[],
): (readonly [tag: string, value: number])[] {
  const { loss } = record;
  if (record.kind === 'eval') {
    return [
      ...metrics.map((metric) => [`eval/${metric.name}`, scoreOf(record, metric)] as const),
      ['eval/loss', loss],
    ];
  }
  return [
    ['train/loss', loss],
    ['train/lr', record.lr],
    ['train/images_per_second', record.images_per_second],
    ['train/data_wait', record.data_wait],
    ['train/memory_bytes', record.memory_bytes],
    ...(record.grad_norm === undefined ? [] : [['train/grad_norm', record.grad_norm] as const]),
  ];
}

/** The recipe as one list, with the settings that this phase trains by. Lists are JSON; what is null is left out. */
function hparamsOf(recipe: Recipe, phase: Phase): Map<string, Hparam> {
  const { name, seed, model, incubation, data } = recipe;
  const parts = { name, phase: phase.name, seed, model, incubation, data, training: phase.settings };
  return new Map(flattened(parts, ''));
}

function flattened(value: unknown, key: string): [string, Hparam][] {
  if (value === null || value === undefined) return [];
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return [[key, value]];
  if (Array.isArray(value)) return [[key, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([name, part]) =>
    flattened(part, key === '' ? name : `${key}.${name}`),
  );
}

function histogramsOf(model: Pick<StagedModel, 'trainedParameters'>): Uint8Array[] {
  return model.trainedParameters().flatMap(([name, parameter]) => {
    const values = scope(() => noGrad(() => to(parameter, { dtype: 'F32' }).toFloat32Array()));
    const found = histogramOf(values);
    return found === undefined ? [] : [histogram(`weights/${name}`, found)];
  });
}

/** Images of a batch that are shown, four a row: cropped, flipped and coloured; not yet erased or mixed. */
const SHEET = { shown: 16, columns: 4 };

async function* showFirst(
  batches: AsyncIterable<Batch>,
  append: (step: number, values: readonly Uint8Array[]) => void,
): AsyncGenerator<Batch> {
  let isFirst = true;
  for await (const batch of batches) {
    if (isFirst && [1, 3].includes(batch.channels))
      append(0, [image('train/images', await sheetOf(batch, SHEET))]);
    isFirst = false;
    yield batch;
  }
}
