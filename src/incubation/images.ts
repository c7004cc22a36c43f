import { join } from 'node:path';
import { cacheRoot } from '../base/cache.js';
import type { Dataset } from '../data/dataset.js';
import { imageFolders } from '../data/folder.js';
import { fashionMnist } from '../data/idx.js';
import { subset } from '../data/sampler.js';
import {
  compose,
  evalTransform,
  type FixedTransform,
  horizontalFlip,
  randomCrop,
  randomResizedCrop,
  type Transform,
} from '../data/transform.js';
import type { Recipe } from './recipe-schema.js';

/** The images of a recipe, and what is done to them before a model sees them. */
export interface Images {
  readonly train: Dataset;
  readonly val: Dataset;
  readonly trainTransform: Transform;
  readonly evalTransform: FixedTransform;
}

/** @throws InputError when the images are missing or do not fit the recipe */
export function openImages(recipe: Recipe): Images {
  const { data, model } = recipe;
  const { train, val } =
    data.format === 'fashion-mnist'
      ? fashionMnist(data.path ?? join(cacheRoot(), 'fashion-mnist'))
      : imageFolders(data.path ?? '.', { modelClasses: model.classes });
  return {
    train: subset(train, data.train_images),
    val: subset(val, data.eval_images),
    trainTransform: trainTransform(recipe),
    evalTransform: evalTransform(model.image_size),
  };
}

const SMALL_IMAGE = 32;

function trainTransform({ data: { augment }, model: { image_size: size } }: Recipe): Transform {
  if (augment === 'none') return evalTransform(size);
  const crop =
    size <= SMALL_IMAGE
      ? randomCrop(size, augment.crop_padding)
      : randomResizedCrop(size, augment.crop_scale, [3 / 4, 4 / 3]);
  return compose(crop, horizontalFlip(augment.flip));
}
