import { existsSync } from 'node:fs';
import { confusionOf, hitsOf } from '../run/confusion.js';
import { type Metric, scoreOf } from '../run/metric.js';
import { readMetrics } from '../run/metrics-log.js';
import type { PhaseResult } from '../run/records.js';
import { readJson, runFolder } from '../run/run-folder.js';
import type { ScoredImages } from './uncertainty.js';

/**
 * Counts of the last evaluation of each finished phase: per image if `confusion.json` belongs to the same result, otherwise only
 * the total. Phases with an unknown number of evaluation images are left out.
 * @throws InputError if one of the files is damaged
 */
export function scoredPhases(
  root: string,
  results: readonly PhaseResult[],
  primary: Metric,
): Map<string, ScoredImages> {
  if (!primary.isShareOfImages) return new Map();
  return new Map(
    results.flatMap((result) => {
      const scored = scoredImagesOf(root, result, primary);
      return scored === undefined ? [] : [[result.phase, scored] as const];
    }),
  );
}

function scoredImagesOf(root: string, result: PhaseResult, primary: Metric): ScoredImages | undefined {
  const folder = runFolder(root).phase(result.phase);
  const images = result.evaluation_images ?? evaluatedImages(folder.metrics, result.steps);
  if (images === undefined || images <= 0) return undefined;
  const right = Math.round((scoreOf(result, primary) / 100) * images);
  const confusion = existsSync(folder.confusion) ? confusionOf(readJson(folder.confusion)) : undefined;
  const hits = confusion?.step === result.steps ? hitsOf(confusion, images) : undefined;
  const isOfResult = hits?.reduce((sum, hit) => sum + hit, 0) === right;
  return { images, right, hits: isOfResult ? hits : undefined };
}

/** The number of images, from the records: results of older versions do not contain it. */
function evaluatedImages(metrics: string, step: number): number | undefined {
  const last = readMetrics(metrics).findLast((record) => record.kind === 'eval');
  return last?.step === step ? last.images : undefined;
}
