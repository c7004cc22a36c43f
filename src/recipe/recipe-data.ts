import { z } from 'zod';
import { count, notNegative, positive, rate } from '../base/number-schemas.js';
import { CATEGORIES, DATA_FORMATS } from '../data/formats/formats.js';
import { EVAL_CROP } from '../data/transforms/transform.js';
import { path } from './recipe-values.js';

/** Far more than any image needs. */
const MOST_PADDING = 1024;

const augment = z.union([
  z.literal('none'),
  z.strictObject({
    crop: z
      .enum(['default', 'simple'])
      .describe(
        'default: padded up to 32 px, random resized above. simple: shorter side resized, then padded by reflection (DeiT-III).',
      )
      .default('default'),
    crop_padding: z
      .int()
      .min(0)
      .max(MOST_PADDING)
      .describe('Padding of the random crop, pixels; for images up to 32 px, and for crop simple.')
      .default(4),
    crop_scale: z
      .tuple([positive, positive])
      .describe('Area share of the random resized crop; for images above 32 px.')
      .default([0.08, 1]),
    crop_ratio: z
      .tuple([positive, positive])
      .describe('Width over height of the random resized crop.')
      .default([3 / 4, 4 / 3]),
    flip: rate.describe('Probability of a horizontal flip.').default(0.5),
    auto: z
      .string()
      .nullable()
      .describe("RandAugment as timm writes it, e.g. rand-m9-mstd0.5-inc1 (DeiT's); null: none.")
      .default(null),
    three_augment: z
      .boolean()
      .describe('3-Augment of DeiT-III: greyscale, solarisation or Gaussian blur; only without auto.')
      .default(false),
    color_jitter: notNegative
      .describe('Strength of brightness, contrast and saturation; only without auto.')
      .default(0),
    erase: rate.describe("Probability of random erasing. DeiT's is 0.25.").default(0),
    mixup: notNegative.describe("Alpha of mixup; 0: none. DeiT's is 0.8.").default(0),
    cutmix: notNegative.describe("Alpha of cutmix; 0: none. DeiT's is 1.").default(0),
    mix_prob: rate.describe('Share of batches that are mixed, where mixup or cutmix is on.').default(1),
    mix_switch: rate.describe('Share of mixed batches that take cutmix, where both are on.').default(0.5),
    repeats: count
      .max(255)
      .describe("Views of an image in an epoch's order (repeated augmentation). DeiT's is 3.")
      .default(1),
    fast_decode: z
      .boolean()
      .describe('JPEGs may be decoded at a fraction of their size where the crop is much larger than needed.')
      .default(true),
  }),
]);

/** Mean and standard deviation of ImageNet's channels, for pixel values from 0 to 1. */
export const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

const HELD_OUT = { error: 'expected a share (above 0 and below 1) or a number of images' };

export const dataSection = z
  .strictObject({
    format: z
      .enum(DATA_FORMATS)
      .describe(
        'folder: train/<class>/* and val/<class>/*, PNG, JPEG, WebP, BMP, GIF or TIFF. shards: WebDataset tar files. csv: a file with the columns path, label, split.',
      ),
    path: path.describe('Where the images are; not needed for fashion-mnist.').optional(),
    classes: z
      .array(z.string().min(1))
      .min(1)
      .describe(
        "Names of the model's classes, in the order of their labels; some may have no images. Default: as start.model or start.meta names them, if its head is kept; else the classes of the images.",
      )
      .optional(),
    category: z.enum(CATEGORIES).describe('What iNaturalist images are classified by.').default('name'),
    eval_split: z
      .enum(['val', 'test'])
      .describe(
        'Which part of a folder, of shards or of a CSV file is evaluated on. test is read only if it is set here.',
      )
      .default('val'),
    split: z
      .strictObject({
        val: z
          .number(HELD_OUT)
          .refine((val) => (val > 0 && val < 1) || (Number.isSafeInteger(val) && val >= 1), HELD_OUT)
          .describe('Share (below 1) or number of the training images to hold out.'),
        seed: z.int().min(0).describe('Selects other images; independent of the seed of the run.').default(0),
      })
      .describe('Hold out training images of each class for evaluation, instead of a validation part.')
      .optional(),
    fraction: z
      .number()
      .gt(0)
      .max(1)
      .describe(
        'Train on this share of each class. The same seed selects the same images; they are listed in the run folder.',
      )
      .default(1),
    train_images: count
      .describe('Use only so many training images, the same number of each class as far as possible.')
      .optional(),
    eval_images: count.describe('Use only so many images for evaluation.').optional(),
    mean: z
      .array(z.number())
      .describe("Of each channel, pixels in 0 to 1. ImageNet's.")
      .default(IMAGENET.mean),
    std: z.array(positive).describe("Of each channel. ImageNet's.").default(IMAGENET.std),
    eval_crop: positive
      .max(1)
      .describe("Share of the resized shorter side that evaluation's crop keeps (timm's crop_pct).")
      .default(EVAL_CROP),
    exif: z
      .enum(['ignore', 'apply'])
      .describe("EXIF's orientation. torchvision ignores it.")
      .default('ignore'),
    grey16: z
      .enum(['clip', 'scale'])
      .describe('Of 16-bit grey images: all above 255 is white, as Pillow shows them, or 65535 is.')
      .default('clip'),
    augment: augment.describe('Training transforms.').prefault({}),
    sampling: z
      .enum(['uniform', 'balanced'])
      .describe(
        'uniform: each image once an epoch. balanced: images are drawn with replacement, every class equally often.',
      )
      .default('uniform'),
    shuffle: z.boolean().describe('A new random order each epoch.').default(true),
    bad_images: z
      .enum(['fail', 'replace'])
      .describe(
        'What an unreadable training image does: end the phase, or be logged and replaced by another.',
      )
      .default('fail'),
  })
  .describe('The images.');

/** The images of a recipe, and how they are read and augmented. */
export type DataSettings = z.output<typeof dataSection>;
