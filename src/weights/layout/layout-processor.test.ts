import { expect, test } from 'vitest';
import { evalShorterSide } from '../../data/transforms/transform.js';
import { huggingFaceProcessor, processorHints, processorSchema } from './layout-processor.js';

const PIXELS = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] };
const hintsOf = (file: object) => processorHints(processorSchema.parse(file));

test.each([0.875, 0.9, 0.95, 0.965, 1])('a written crop of %d is read back, at any size', (share) => {
  for (let imageSize = 33; imageSize <= 1024; imageSize++) {
    const shorterSide = evalShorterSide(imageSize, share);
    const { evalCrop, ...others } = hintsOf(
      huggingFaceProcessor({ channels: 3, imageSize }, { ...PIXELS, shorterSide }),
    );
    expect(others).toEqual({ ...PIXELS, otherResize: undefined });
    expect(evalShorterSide(imageSize, evalCrop)).toBe(shorterSide);
  }
});

test('small images are used unchanged', () => {
  const file = huggingFaceProcessor({ channels: 1, imageSize: 28 }, { ...PIXELS, shorterSide: null });
  expect(file).toMatchObject({ do_resize: false, do_center_crop: false, do_convert_rgb: false });
  expect(hintsOf(file)).toEqual({ ...PIXELS, evalCrop: undefined, otherResize: undefined });
});

test('processors of other programs: their crop, and their differences', () => {
  const vit = { do_resize: true, resample: 2, size: { height: 224, width: 224 } };
  expect(hintsOf(vit).otherResize).toBe('preprocessor_config.json says no crop, resampling bilinear');
  expect(hintsOf({ ...vit, size: 224 }).otherResize).toBe(
    'preprocessor_config.json says no crop, resampling bilinear',
  );
  const dino = { resample: 3, size: { shortest_edge: 256 }, crop_size: { height: 224, width: 224 } };
  expect(hintsOf({ ...dino, do_center_crop: true })).toMatchObject({
    evalCrop: 0.875,
    otherResize: undefined,
  });
  expect(hintsOf({ ...dino, size: 256, crop_size: 224, do_center_crop: true })).toMatchObject({
    evalCrop: 0.875,
  });
  expect(hintsOf({ image_mean: [0.5] })).toMatchObject({ mean: [0.5], otherResize: undefined });
});

test.each([
  ['not rescaled', { do_rescale: false, image_mean: [51], image_std: [102] }, [0.2], [0.4]],
  ['rescaled to 2', { rescale_factor: 2 / 255, image_mean: [1], image_std: [1] }, [0.5], [0.5]],
  ['rescaled by a rounded 1 / 255', { rescale_factor: 0.00392156, image_mean: [0.3] }, [0.3], undefined],
  [
    'neither rescaled nor normalised',
    { do_rescale: false, do_normalize: false, image_mean: [3] },
    [0],
    [1 / 255],
  ],
])('pixels %s: mean and deviation are of pixels from 0 to 1', (_, file, mean, std) => {
  expect(hintsOf(file)).toMatchObject({ mean, std });
});

test.each([
  ['ViTImageProcessor', 'preprocessor_config.json says resampling bilinear'],
  ['ViTFeatureExtractor', 'preprocessor_config.json says resampling bilinear'],
  ['DeiTImageProcessor', undefined],
  ['BitImageProcessor', undefined],
])('a %s that states no filter has its default', (type, otherResize) => {
  const key = type.endsWith('Extractor') ? 'feature_extractor_type' : 'image_processor_type';
  const crop = { size: { shortest_edge: 256 }, crop_size: 224, do_center_crop: true };
  expect(hintsOf({ ...crop, [key]: type }).otherResize).toBe(otherResize);
});
