import { InputError } from '../../base/errors.js';
import { visibleLine } from '../../base/visible.js';
import type { Dataset, DecodeOptions } from '../../data/dataset.js';
import { predictMaps } from '../../launch/predict-maps.js';
import type { LoadedModel } from '../../launch/start/loaded-model.js';
import { progressLine } from '../terminal/live-block.js';
import { note, print } from '../terminal/output.js';

interface LabelMapOptions {
  readonly checkpoint: string;
  readonly out?: string;
  readonly csv?: true;
  readonly json?: true;
  readonly top: number;
  readonly decode: DecodeOptions;
  readonly names: readonly string[] | undefined;
}

/** `predict` of a checkpoint that labels pixels: writes a label map for each image. Exits with 1 if an image cannot be read. */
export async function predictLabelMaps(
  loaded: LoadedModel,
  images: Dataset,
  { checkpoint, out, csv, json, top, decode, names }: LabelMapOptions,
): Promise<void> {
  if (out === undefined) {
    throw new InputError(`${checkpoint} labels pixels: --out is missing, the folder for the label maps`, {
      hint: 'for example --out maps',
    });
  }
  if (csv)
    throw new InputError('--csv: not supported for a model that labels pixels', { hint: 'use --json' });
  const progress = progressLine(process.stderr, 'images');
  let failed = 0;
  let done = 0;
  try {
    for await (const result of predictMaps(loaded, images, { out, decode, names })) {
      if (!process.stdout.isTTY) progress.show(++done, images.length);
      if ('error' in result) {
        failed++;
        progress.clear();
        note(`not read: ${result.error}`);
        if (json) print(JSON.stringify(result));
        continue;
      }
      const classes = result.classes.slice(0, top);
      const texts = classes.map((each) => `${each.class} ${(100 * each.share).toFixed(1)} %`);
      print(json ? JSON.stringify({ ...result, classes }) : visibleLine([result.map, ...texts].join('  ')));
    }
  } finally {
    progress.clear();
  }
  if (failed === 0) return;
  note(`${failed} of ${images.length} images could not be read`);
  process.exitCode = 1;
}
