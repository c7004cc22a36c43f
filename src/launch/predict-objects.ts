import type { Dataset, DecodeOptions } from '../data/dataset.js';
import type { CocoRle } from '../data/objects.js';
import { noGrad } from '../torch/autograd.js';
import { scope } from '../torch/scope.js';
import { forwardPass } from '../training/evaluate.js';
import { predictEach, type Unreadable } from './predict-each.js';
import type { LoadedModel } from './start/loaded-model.js';

/** An object that was found in an image. */
interface PredictedObject {
  /** The name of the class; its label if the classes have no names. */
  readonly class: string;
  readonly label: number;
  readonly score: number;
  /** [x, y, width, height] in pixels. */
  readonly box: readonly [x: number, y: number, width: number, height: number];
  readonly segmentation: CocoRle;
}

/** The objects of an image, best first. */
export interface ImageObjects {
  readonly image: string;
  readonly width: number;
  readonly height: number;
  readonly objects: readonly PredictedObject[];
}

/**
 * Finds the objects of images, image by image.
 * @param names of the classes by label; default: the labels
 */
export function predictObjects(
  loaded: LoadedModel,
  images: Dataset,
  { decode, names }: { readonly decode: DecodeOptions; readonly names: readonly string[] | undefined },
): AsyncGenerator<ImageObjects | Unreadable> {
  const forward = forwardPass(loaded);
  return predictEach(loaded, images, decode, (batch, index) =>
    scope(() =>
      noGrad(() => {
        const { infer, findings } = loaded.task;
        const [result] = findings?.(infer?.(batch, forward).target) ?? [];
        const objects = result.found.map((each) => ({
          class: names?.[each.label] ?? String(each.label),
          ...each,
        }));
        const { width, height } = result.image;
        return { image: images.describe(index), width, height, objects };
      }),
    ),
  );
}
