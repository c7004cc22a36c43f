import { EVAL_CROP, SMALL_IMAGE } from '../../data/transforms/transform.js';
import type { Assumption } from '../../models/family.js';
import { IMAGENET } from '../../recipe/recipe-data.js';
import type { StatedFacts } from './stated-facts.js';

/** Assumptions about image preprocessing for a checkpoint that does not state it: as for most ImageNet models. */
export function assumedImages(
  { mean, std, evalCrop, otherResize }: StatedFacts,
  { imageSize, channels }: { readonly imageSize: number; readonly channels: number },
): Assumption[] {
  const assumed: Assumption[] = [];
  if (channels === 3 && mean === undefined) {
    assumed.push({ key: 'data.mean', text: `mean [${IMAGENET.mean.join(', ')}] (ImageNet's)` });
  }
  if (channels === 3 && std === undefined) {
    assumed.push({ key: 'data.std', text: `standard deviation [${IMAGENET.std.join(', ')}] (ImageNet's)` });
  }
  if (otherResize !== undefined) {
    const used =
      imageSize > SMALL_IMAGE
        ? 'bicubic resize and a centre crop'
        : `images of ${imageSize} x ${imageSize}, without resizing`;
    assumed.push({ key: 'resize', text: `${used} (its ${otherResize})` });
  } else if (evalCrop === undefined && imageSize > SMALL_IMAGE) {
    assumed.push({
      key: 'data.eval_crop',
      text: `bicubic resize and a centre crop of ${EVAL_CROP.toFixed(3)} (the model states neither)`,
    });
  }
  return assumed;
}
