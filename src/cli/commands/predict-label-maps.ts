import { InputError } from '../../base/errors.js';
import { visibleLine } from '../../base/visible.js';
import type { Dataset } from '../../data/dataset.js';
import { predictMaps } from '../../launch/predict-maps.js';
import type { LoadedModel } from '../../launch/start/loaded-model.js';
import { print } from '../terminal/output.js';
import type { AnnotatedPredictOptions } from './predict-annotated.js';
import { writeEach } from './write-each.js';

/** `predict` of a checkpoint that labels pixels: writes a label map for each image. Exits with 1 if an image cannot be read. */
export async function predictLabelMaps(
  loaded: LoadedModel,
  images: Dataset,
  { checkpoint, out, csv, json, top, decode, names }: AnnotatedPredictOptions,
): Promise<void> {
  if (out === undefined) {
    throw new InputError(`${checkpoint} labels pixels: --out is missing, the folder for the label maps`, {
      hint: 'for example --out maps',
    });
  }
  if (csv)
    throw new InputError('--csv: not supported for a model that labels pixels', { hint: 'use --json' });
  await writeEach(predictMaps(loaded, images, { out, decode, names }), images.length, (result) => {
    if ('error' in result) {
      if (json) print(JSON.stringify(result));
      return;
    }
    const classes = result.classes.slice(0, top);
    const texts = classes.map((each) => `${each.class} ${(100 * each.share).toFixed(1)} %`);
    print(json ? JSON.stringify({ ...result, classes }) : visibleLine([result.map, ...texts].join('  ')));
  });
}
