/** The supported data formats, by their names in recipes. */
export const DATA_FORMATS = [
  'fashion-mnist',
  'folder',
  'shards',
  'csv',
  'cifar-10',
  'cifar-100',
  'inaturalist-2018',
  'inaturalist-2019',
  'ade20k',
  'coco',
] as const;

export type DataFormat = (typeof DATA_FORMATS)[number];

/** Categories by which iNaturalist images can be classified: the keys of its categories.json. */
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
