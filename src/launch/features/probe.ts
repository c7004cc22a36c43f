import { tmpdir } from 'node:os';
import { InputError } from '../../base/errors.js';
import type { Dataset } from '../../data/dataset.js';
import type { Scored } from '../../run/metric.js';
import { rowRanges } from '../../tasks/classification/feature-rows.js';
import { neighbourSearch } from '../../tasks/classification/knn.js';
import type { KnnMetric } from '../../tasks/classification/knn-metrics.js';
import { topHits, type Vote, votes } from '../../tasks/classification/knn-vote.js';
import {
  fitLogisticRegression,
  type LinearProbe,
  probeLogits,
} from '../../tasks/classification/logistic-regression.js';
import { accuracies } from '../../tasks/classification/metrics.js';
import type { LoadedModel } from '../start/loaded-model.js';
import { type ImageFeaturesOptions, imageFeatures } from './image-features.js';
import { type RowFile, rowFile } from './row-file.js';

export interface ProbeImages {
  readonly train: Dataset;
  /** With the same classes. */
  readonly val: Dataset;
}

export interface ProbeSettings {
  /** Absent: no nearest neighbours. */
  readonly knn?: KnnOptions | undefined;
  /** Absent: no linear probe. `c` is the inverse strength of its L2 penalty, as in scikit-learn. */
  readonly linear?: { readonly c: number; readonly maxIterations?: number | undefined } | undefined;
  /**
   * Folder for a file of the training features, which the linear probe reads repeatedly and which is removed. Default: the
   * system's temporary folder.
   */
  readonly temporary?: string | undefined;
}

interface ProbeOptions extends ProbeSettings, Pick<ImageFeaturesOptions, 'batchSize' | 'decode'> {
  /** Called with the number of images whose features are known, of both parts. */
  readonly onImages?: (done: number) => void;
  /** Called after each pass of the linear probe over the training features. */
  readonly onPass?: (passes: number) => void;
}

export interface KnnOptions {
  /** Numbers of neighbours. */
  readonly ks: readonly number[];
  /** Default cosine. */
  readonly metric?: KnnMetric;
  /** Of the weighted vote, which needs the metric cosine. Default 0.07, as in DINO. */
  readonly temperature?: number;
}

/** Has the metrics of a classification, in per cent of the images, among its fields. */
export interface KnnResult extends Scored {
  readonly k: number;
  readonly vote: Vote['kind'];
}

/** Has the metrics of a classification, in per cent of the images, among its fields. */
export interface LinearResult extends Scored {
  readonly c: number;
  readonly iterations: number;
  readonly isConverged: boolean;
}

export interface ProbeResult {
  readonly trainImages: number;
  readonly images: number;
  readonly width: number;
  readonly knn: readonly KnnResult[];
  readonly linear: LinearResult | undefined;
}

/**
 * Scores the features of a model on images: by the nearest neighbours among the training images, and by a linear classifier that is
 * trained on them. The model itself is not changed. Memory has the features of `val`; those of `train` are only on the disk, and
 * only for the linear probe.
 * @throws InputError if there are fewer training images than neighbours, or an image is invalid
 */
export async function probe(
  loaded: LoadedModel,
  { train, val }: ProbeImages,
  options: ProbeOptions,
): Promise<ProbeResult> {
  const { knn, linear, temporary = tmpdir(), onImages = () => {}, onPass = () => {}, ...reading } = options;
  const { device } = loaded;
  const { metric = 'cosine', temperature = 0.07 } = knn ?? {};
  const k = Math.max(0, ...(knn?.ks ?? []));
  if (k > train.length) {
    throw new InputError(`${k} neighbours of ${train.length} training images`, {
      hint: 'choose a smaller number of neighbours (--knn)',
    });
  }
  const classes = train.classes.length;
  const queries = await collected(loaded, val, { ...reading, onImages });
  const { features, width, labels: targets } = queries;
  const search = knn && neighbourSearch(features, { width, k, metric, device });
  const file = linear && rowFile(temporary);
  try {
    let done = val.length;
    for await (const batch of imageFeatures(loaded, train, reading)) {
      search?.add(batch.features, batch.labels);
      file?.add(batch);
      done += batch.labels.length;
      onImages(done);
    }
    const found = search?.result();
    const voted = (knn?.ks ?? []).flatMap((each) =>
      votesOf(metric).map((kind): KnnResult => {
        const vote = kind === 'majority' ? { kind } : { kind, temperature };
        const counts = found === undefined ? new Float64Array() : votes(found, { k: each, classes, vote });
        return { k: each, vote: kind, ...accuracies(topHits(counts, targets, { classes }), targets.length) };
      }),
    );
    const fitted = file && linear && (await fitLinear(file, linear, { device, onPass }));
    return {
      trainImages: train.length,
      images: targets.length,
      width,
      knn: voted,
      linear: fitted && {
        c: linear.c,
        iterations: fitted.iterations,
        isConverged: fitted.isConverged,
        ...linearScores(fitted, queries, { classes, device }),
      },
    };
  } finally {
    search?.free();
    file?.close();
  }
}

function votesOf(metric: KnnMetric): readonly Vote['kind'][] {
  return metric === 'euclidean' ? ['majority'] : ['weighted', 'majority'];
}

interface Queries {
  readonly features: Float32Array;
  readonly width: number;
  readonly labels: Int32Array;
}

async function collected(
  loaded: LoadedModel,
  images: Dataset,
  {
    onImages,
    ...reading
  }: Pick<ProbeOptions, 'batchSize' | 'decode'> & Required<Pick<ProbeOptions, 'onImages'>>,
): Promise<Queries> {
  let features = new Float32Array();
  const labels = new Int32Array(images.length);
  let width = 0;
  let done = 0;
  for await (const batch of imageFeatures(loaded, images, reading)) {
    width = batch.width;
    if (features.length === 0) features = new Float32Array(images.length * width);
    features.set(batch.features, done * width);
    labels.set(batch.labels, done);
    done += batch.labels.length;
    onImages(done);
  }
  return { features, width, labels };
}

function fitLinear(
  file: RowFile,
  { c, maxIterations }: NonNullable<ProbeOptions['linear']>,
  { device, onPass }: { readonly device: string; readonly onPass: (passes: number) => void },
): Promise<LinearProbe> {
  let passes = 0;
  return fitLogisticRegression(file.rows(), {
    c,
    device,
    onPass: () => onPass(++passes),
    ...(maxIterations !== undefined && { maxIterations }),
  });
}

/** Rows whose logits are computed at a time. */
const ROWS = 1024;
const NEVER = Number.NEGATIVE_INFINITY;

function linearScores(
  fitted: LinearProbe,
  { features, width, labels }: Queries,
  { classes, device }: { readonly classes: number; readonly device: string },
): Readonly<Record<string, number>> {
  let first = 0;
  let firstFive = 0;
  for (const [from, end] of rowRanges(labels.length, ROWS)) {
    const logits = probeLogits(fitted, features.subarray(from * width, end * width), device);
    // Classes without training images are never predicted.
    const scores = new Float64Array((end - from) * classes).fill(NEVER);
    const known = fitted.labels.length;
    for (const [i, logit] of logits.entries()) {
      scores[Math.floor(i / known) * classes + fitted.labels[i % known]] = logit;
    }
    const [hit, hitFive] = topHits(scores, labels.subarray(from, end), { classes, above: NEVER });
    first += hit;
    firstFive += hitFive;
  }
  return accuracies([first, firstFive], labels.length);
}
