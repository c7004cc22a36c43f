import { errorText, InputError } from '../base/errors.js';
import { type Batch, type Dataset, type DecodeOptions, decodedAs } from '../data/dataset.js';
import { evalBatches } from '../data/loader/loader.js';
import type { LoadedModel } from './start/loaded-model.js';

/** An image that could not be read, and why. */
export interface Unreadable {
  readonly image: string;
  readonly error: string;
}

/** What `predict` makes of each image, in a batch by itself. An `InputError` is the result of its image and does not end the others. */
export async function* predictEach<Result>(
  { evaluation }: Pick<LoadedModel, 'evaluation'>,
  images: Dataset,
  decode: DecodeOptions,
  predict: (batch: Batch, index: number) => Result | Promise<Result>,
): AsyncGenerator<Result | Unreadable> {
  const dataset = decodedAs(images, decode);
  for (let index = 0; index < images.length; index++) {
    const image = images.describe(index);
    const one = { ...dataset, length: 1, describe: () => image, source: () => dataset.source(index) };
    try {
      for await (const batch of evalBatches({ dataset: one, batchSize: 1, ...evaluation, prefetch: 0 })) {
        yield await predict(batch, index);
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      yield { image, error: errorText(error) };
    }
  }
}
