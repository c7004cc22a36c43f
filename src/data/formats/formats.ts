/** The data sets that can be read, as recipes name them. */
export const DATA_FORMATS = [
  'fashion-mnist',
  'folder',
  'shards',
  'cifar-10',
  'cifar-100',
  'inaturalist-2018',
  'inaturalist-2019',
] as const;

export type DataFormat = (typeof DATA_FORMATS)[number];

/** What iNaturalist's images can be classified by: the keys of its categories.json. */
export const CATEGORIES = [
  'name',
  'kingdom',
  'phylum',
  'class',
  'order',
  'supercategory',
  'family',
  'genus',
] as const;

export type Category = (typeof CATEGORIES)[number];
