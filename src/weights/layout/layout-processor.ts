import { z } from 'zod';

/** Preprocessing of images for a model that Hugging Face's transformers loads. */
export interface PixelFacts {
  /** Per channel, for pixels from 0 to 1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Pixels of the shorter side before the crop; null if images are neither resized nor cropped. */
  readonly shorterSide: number | null;
}

/** Facts about evaluation from a `preprocessor_config.json`. */
interface ProcessorHints {
  readonly mean?: readonly number[] | undefined;
  readonly std?: readonly number[] | undefined;
  readonly evalCrop?: number | undefined;
  readonly otherResize?: string | undefined;
}

const BILINEAR = 2;
const BICUBIC = 3;
const RESAMPLERS = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'];

/**
 * The `preprocessor_config.json` with which transformers preprocesses images as evaluation does here: shorter side resized
 * with Pillow's bicubic filter, centre crop. It is for BitImageProcessor, because ViTImageProcessor does not support a crop.
 */
export function huggingFaceProcessor(
  { channels, imageSize }: { readonly channels: number; readonly imageSize: number },
  { mean, std, shorterSide }: PixelFacts,
): Record<string, unknown> {
  return {
    image_processor_type: 'BitImageProcessor',
    do_convert_rgb: channels === 3,
    do_resize: shorterSide !== null,
    size: { shortest_edge: shorterSide ?? imageSize },
    resample: BICUBIC,
    do_center_crop: shorterSide !== null,
    crop_size: { height: imageSize, width: imageSize },
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: mean,
    image_std: std,
  };
}

const channels = z.array(z.number());
const pixels = z.int().positive();
const square = z.union([pixels, z.object({ height: pixels, width: pixels })]);

export const processorSchema = z.object({
  image_processor_type: z.string().nullish(),
  feature_extractor_type: z.string().nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: z.number().positive().nullish(),
  image_mean: channels.optional(),
  image_std: channels.optional(),
  do_normalize: z.boolean().nullish(),
  do_resize: z.boolean().nullish(),
  do_center_crop: z.boolean().nullish(),
  resample: z.int().nullish(),
  size: z
    .union([square, z.object({ shortest_edge: pixels })])
    .nullish()
    .catch(undefined),
  crop_size: square.nullish().catch(undefined),
});

/** Hints from a `preprocessor_config.json`: normalisation, the crop's fraction, and steps that differ from evaluation here. */
export function processorHints(given: z.infer<typeof processorSchema>): ProcessorHints {
  const { size, crop_size } = given;
  const resample = given.resample ?? defaultResampler(given);
  const isResized = given.do_resize !== false && size !== undefined && size !== null;
  // Before version 4.26, a plain number was the shorter side if a crop followed, and both sides otherwise.
  const shorter =
    typeof size === 'object' && size !== null && 'shortest_edge' in size ? size.shortest_edge : size;
  const crop = typeof crop_size === 'object' ? crop_size?.height : crop_size;
  const isCropped = given.do_center_crop === true && typeof shorter === 'number' && typeof crop === 'number';
  const other = [
    ...(isResized && !isCropped ? ['no crop'] : []),
    ...(isResized && resample !== BICUBIC ? [`resampling ${RESAMPLERS[resample] ?? resample}`] : []),
  ];
  return {
    ...normalisation(given),
    evalCrop: isResized && isCropped && crop <= shorter ? shareOf(crop, shorter) : undefined,
    otherResize: other.length === 0 ? undefined : `preprocessor_config.json says ${other.join(', ')}`,
  };
}

/** Mean and deviation for pixels from 0 to 1. The file states them for pixels from 0 to `255 * rescale_factor`. */
function normalisation(given: z.infer<typeof processorSchema>): Pick<ProcessorHints, 'mean' | 'std'> {
  const { image_mean, image_std } = given;
  const factor = given.do_rescale === false ? 1 : given.rescale_factor;
  // Files round 1 / 255.
  const top = factor === undefined || factor === null || Math.abs(255 * factor - 1) < 1e-3 ? 1 : 255 * factor;
  if (given.do_normalize !== false) {
    return { mean: image_mean?.map((value) => value / top), std: image_std?.map((value) => value / top) };
  }
  const plain = (value: number) => (image_mean ?? [0, 0, 0]).map(() => value);
  return { mean: plain(0), std: plain(1 / top) };
}

/** The filter of a processor that does not state it: transformers' default for its type. */
function defaultResampler(given: z.infer<typeof processorSchema>): number {
  const type = given.image_processor_type ?? given.feature_extractor_type ?? '';
  return type.startsWith('ViT') ? BILINEAR : BICUBIC;
}

/** The fraction for which `floor(crop / fraction)` is the given shorter side. */
function shareOf(crop: number, shorter: number): number {
  const share = crop / shorter;
  return Math.floor(crop / share) === shorter ? share : crop / (shorter + 0.5);
}
