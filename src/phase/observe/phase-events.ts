import type { Encoded } from '../../base/protobuf.js';
import type { Batch } from '../../data/dataset.js';
import type { StagedModel } from '../../models/staged.js';
import type { Phase } from '../../recipe/phase.js';
import { type Metric, scoreOf } from '../../run/metric.js';
import type { MetricRecord } from '../../run/records.js';
import { openEventFile } from '../../run/tensorboard/event-file.js';
import {
  flattened,
  histogram,
  histogramOf,
  image,
  scalarEvent,
  sessionEnd,
  sessionStart,
} from '../../run/tensorboard/events.js';
import { noGrad } from '../../torch/autograd.js';
import { to } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { sheetOf } from './image-sheet.js';

/** Writes TensorBoard events of a phase during training. */
export interface PhaseEvents {
  record(record: MetricRecord): void;
  /** Writes histograms of the weights if the recipe asks for them at this step. */
  weights(step: number, model: Pick<StagedModel, 'trainedParameters'>): void;
  /** Returns the same batches, and shows images of the first one if the recipe asks for it and the phase begins. */
  watching(batches: AsyncIterable<Batch>): AsyncIterable<Batch>;
  done(): void;
}

/** Writes nothing. */
export const NO_EVENTS: PhaseEvents = {
  record: () => {},
  weights: () => {},
  watching: (batches) => batches,
  done: () => {},
};

interface EventsPlace {
  readonly folder: string;
  readonly fromStep: number;
  /** The metrics of an evaluation that are written. */
  readonly metrics: readonly Metric[];
}

/**
 * Opens a phase's event files according to `run.tensorboard`. Writing events does not affect the training.
 */
export function openPhaseEvents(
  { run, hparams }: Pick<Phase, 'run' | 'hparams'>,
  { folder, fromStep, metrics }: EventsPlace,
): PhaseEvents {
  const settings = run.tensorboard;
  if (settings === false) return NO_EVENTS;
  const file = openEventFile(folder, { fromStep });
  if (fromStep === 0) file.append(0, [sessionStart(new Map(flattened(hparams)), Date.now() / 1000)]);
  const every = settings.histograms_every;
  return {
    record: (record) =>
      file.append(
        record.step,
        scalarsOf(record, metrics).map(([tag, value]) => scalarEvent(tag, value)),
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

function histogramsOf(model: Pick<StagedModel, 'trainedParameters'>): Encoded[] {
  return model.trainedParameters().flatMap(([name, parameter]) => {
    const values = scope(() => noGrad(() => to(parameter, { dtype: 'F32' }).toFloat32Array()));
    const found = histogramOf(values);
    return found === undefined ? [] : [histogram(`weights/${name}`, found)];
  });
}

/** Number of images shown of a batch, and per row. They are cropped, flipped and coloured, but not yet erased or mixed. */
const SHEET = { shown: 16, columns: 4 };

async function* showFirst(
  batches: AsyncIterable<Batch>,
  append: (step: number, values: readonly Encoded[]) => void,
): AsyncGenerator<Batch> {
  let isFirst = true;
  for await (const batch of batches) {
    if (isFirst && [1, 3].includes(batch.channels))
      append(0, [image('train/images', await sheetOf(batch, SHEET))]);
    isFirst = false;
    yield batch;
  }
}
