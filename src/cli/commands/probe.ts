import { InputError } from '../../base/errors.js';
import { dataFormatOf, openDataset } from '../../data/open/open-dataset.js';
import { type LinearResult, type ProbeImages, type ProbeResult, probe } from '../../launch/features/probe.js';
import { labelledScore, type Metric, type Scored } from '../../run/metric.js';
import type { KnnMetric } from '../../tasks/classification/knn-metrics.js';
import { classificationMetrics } from '../../tasks/classification/metrics.js';
import {
  type FeatureModelOptions,
  featureModel,
  notePassedOver,
  partOf,
} from '../checkpoint/feature-model.js';
import { progressLine } from '../terminal/live-block.js';
import { columns, note, print, printJson } from '../terminal/output.js';

interface ProbeCommandOptions extends FeatureModelOptions {
  readonly data: string;
  readonly split?: 'val' | 'test' | 'held-out';
  readonly knn?: readonly number[];
  readonly temperature: number;
  readonly metric: KnnMetric;
  readonly linear?: true;
  readonly c: number;
  readonly maxIterations: number;
  readonly batchSize: number;
  readonly json?: true;
}

/** Neighbours, if neither --knn nor --linear is given. */
const NEIGHBOURS = [20];

/** `probe`: scores the features of a model with nearest neighbours and a linear classifier. */
export async function probeFeatures(name: string, options: ProbeCommandOptions): Promise<void> {
  const { data, temperature, metric, c, maxIterations, batchSize } = options;
  const isDefault = options.knn === undefined && options.linear === undefined;
  const ks = options.knn ?? (isDefault ? NEIGHBOURS : []);
  const { checkpoint, known, loaded } = await featureModel(name, options);
  const { split, heldOut } = partOf(checkpoint, options.split);
  const images: ProbeImages = openDataset({
    format: dataFormatOf(data),
    path: data,
    category: known.recipe.data.category,
    evalSplit: split === 'test' ? 'test' : 'val',
    split: heldOut,
  });
  if (images.train.labelMap !== undefined) {
    throw new InputError(`${data} has label maps, and a probe needs classes of images`, {
      hint: 'use a data set for classification',
    });
  }
  notePassedOver(images.train, images.val);
  const result = await measured(() => {
    const total = images.train.length + images.val.length;
    const progress = progressLine(process.stderr, 'images');
    const passes = progressLine(process.stderr, 'passes of the linear probe');
    return probe(loaded, images, {
      batchSize,
      decode: known.recipe.data,
      knn: ks.length === 0 ? undefined : { ks, metric, temperature },
      linear: options.linear || isDefault ? { c, maxIterations } : undefined,
      onImages: (done) => progress.show(done, total),
      onPass: (done) => passes.show(done, maxIterations),
    }).finally(progress.clear);
  });
  if (result.linear?.isConverged === false) {
    note(
      `the linear probe did not converge in ${result.linear.iterations} iterations (--max-iterations, or a smaller --c)`,
    );
  }
  const facts = { checkpoint: checkpoint.name, data, device: loaded.device };
  if (options.json) printJson(jsonOf(result, facts, options));
  else printResult(result, facts, options, classificationMetrics(images.train.classes.length).shown);
}

async function measured(work: () => Promise<ProbeResult>) {
  const started = performance.now();
  const result = await work();
  return { ...result, seconds: (performance.now() - started) / 1000 };
}

type Facts = Readonly<Record<'checkpoint' | 'data' | 'device', string>>;
type Measured = ProbeResult & { readonly seconds: number };

function jsonOf(
  { trainImages, images, width, knn, linear, seconds }: Measured,
  facts: Facts,
  { metric, temperature }: ProbeCommandOptions,
) {
  return {
    ...facts,
    train_images: trainImages,
    images,
    width,
    knn: knn.map(({ k, vote, ...scores }) => ({
      k,
      vote,
      metric,
      ...(vote === 'weighted' && { temperature }),
      ...scores,
    })),
    linear: linear && linearJson(linear),
    seconds,
  };
}

function linearJson({ c, iterations, isConverged: converged, ...scores }: LinearResult) {
  return { c, ...scores, iterations, converged };
}

function printResult(
  { trainImages, images, width, knn, linear }: Measured,
  { checkpoint, data }: Facts,
  { metric, temperature }: ProbeCommandOptions,
  metrics: readonly Metric[],
): void {
  const count = (value: number) => value.toLocaleString('en-US');
  const score = (scored: Scored) => metrics.map((each) => labelledScore(each, scored)).join(', ');
  print(
    ...columns(
      [
        ['checkpoint', `${checkpoint}, ${width} features`],
        ['images', `${count(images)} of ${data}, ${count(trainImages)} for training`],
        ...knn.map((each) => [
          `${each.k} neighbours`,
          `${score(each)} (${each.vote === 'weighted' ? `weighted, temperature ${temperature}` : `majority, ${metric}`})`,
        ]),
        ...(linear === undefined
          ? []
          : [['linear probe', `${score(linear)} (C ${linear.c}, ${linear.iterations} iterations)`]]),
      ],
      2,
    ),
  );
}
