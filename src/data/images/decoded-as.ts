import { type Dataset, type DecodeOptions, isEncoded } from '../dataset.js';

/** A data set whose images are decoded with these options. */
export function decodedAs<T extends Dataset>(dataset: T, { exif, grey16 }: DecodeOptions): T {
  if ((exif ?? 'ignore') === 'ignore' && (grey16 ?? 'clip') === 'clip') return dataset;
  return {
    ...dataset,
    source: (i) => {
      const source = dataset.source(i);
      return isEncoded(source) ? { ...source, exif, grey16 } : source;
    },
  };
}
