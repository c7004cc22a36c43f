import { errorText, InputError } from '../base/errors.js';
import { type Dataset, type DecodeOptions, decodedAs } from '../data/dataset.js';
import { evalBatches } from '../data/loader/loader.js';
import type { CocoRle } from '../data/objects.js';
import { type DetectionResult, resultOf } from '../tasks/detection/collection.js';
import { noGrad } from '../torch/autograd.js';
import { scope } from '../torch/scope.js';
import { forwardPass } from '../training/evaluate.js';
import type { LoadedModel } from './start/loaded-model.js';

/** An object that was found in an image. */
export interface PredictedObject {
  /** The name of the class; its label if the classes have no names. */
  readonly class: string;
  readonly label: number;
  readonly score: number;
  /** [x, y, width, height] in pixels. */
  readonly box: readonly [x: number, y: number, width: number, height: number];
  readonly segmentation: CocoRle;
}

/** The objects of an image, best first; or why it could not be read. */
export type ObjectsPrediction =
  | {
      readonly image: string;
      readonly width: number;
      readonly height: number;
      readonly objects: readonly PredictedObject[];
    }
  | { readonly image: string; readonly error: string };

/**
 * Finds the objects of images, image by image.
 * @param names of the classes by label; default: the labels
 */
export async function* predictObjects(
  { model, task, evaluation, device, precision }: LoadedModel,
  images: Dataset,
  { decode, names }: { readonly decode: DecodeOptions; readonly names: readonly string[] | undefined },
): AsyncGenerator<ObjectsPrediction> {
  const forward = forwardPass({ model, device, precision });
  const dataset = decodedAs(images, decode);
  for (let index = 0; index < images.length; index++) {
    const image = images.describe(index);
    const one = { ...dataset, length: 1, describe: () => image, source: () => dataset.source(index) };
    try {
      for await (const batch of evalBatches({ dataset: one, batchSize: 1, ...evaluation, prefetch: 0 })) {
        const result = scope(() =>
          noGrad(() => {
            const target = task.infer?.(batch, forward).target as DetectionResult;
            const [annotated] = target.annotated;
            const found = target.found()[0].map((each) => resultOf(each, annotated));
            return { annotated, found };
          }),
        );
        const { width, height } = result.annotated;
        const objects = result.found.map(({ categoryId: label, score, box, segmentation }) => ({
          class: names?.[label] ?? String(label),
          label,
          score,
          box,
          segmentation,
        }));
        yield { image, width, height, objects };
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      yield { image, error: errorText(error) };
    }
  }
}
