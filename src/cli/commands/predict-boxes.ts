import { existsSync } from 'node:fs';
import { InputError } from '../../base/errors.js';
import { visibleLine } from '../../base/visible.js';
import { rleArea } from '../../data/coco/rle.js';
import { segmentationRle } from '../../data/coco/segmentation.js';
import type { Dataset } from '../../data/dataset.js';
import { writeFileAtomic } from '../../files/atomic.js';
import { withFileErrors } from '../../files/file-errors.js';
import { type ImageObjects, predictObjects } from '../../launch/predict-objects.js';
import type { LoadedModel } from '../../launch/start/loaded-model.js';
import { csvField } from '../../report/metrics-csv.js';
import { print } from '../terminal/output.js';
import type { AnnotatedPredictOptions } from './predict-annotated.js';
import { writeEach } from './write-each.js';

/**
 * `predict` of a checkpoint that finds objects: prints the objects of each image, and writes all of them to `out` in COCO's layout. Exits with
 * 1 if an image cannot be read.
 */
export async function predictBoxes(
  loaded: LoadedModel,
  images: Dataset,
  options: AnnotatedPredictOptions,
): Promise<void> {
  const { out, json, csv, top, decode, names } = options;
  requireNew(out);
  const found: ImageObjects[] = [];
  if (csv) print('image,class,score,x,y,width,height');
  await writeEach(predictObjects(loaded, images, { decode, names }), images.length, (result) => {
    if ('error' in result) {
      if (json) print(JSON.stringify(result));
      return;
    }
    const best = { ...result, objects: result.objects.slice(0, top) };
    if (out !== undefined) found.push(best);
    print(...(json ? [JSON.stringify(best)] : csv ? csvLines(best) : tableLines(best)));
  });
  if (out !== undefined) writeObjects(out, found, options);
}

function requireNew(out: string | undefined): void {
  if (out === undefined) return;
  if (!out.endsWith('.json')) {
    throw new InputError(`--out ${out}: the name must end in .json for a model that finds objects`, {
      hint: "All objects are written to one file in COCO's layout, for example --out objects.json.",
    });
  }
  if (!existsSync(out)) return;
  throw new InputError(`--out ${out}: the file exists`, { hint: 'Choose another name, or remove the file.' });
}

function tableLines({ image, objects }: ImageObjects): string[] {
  if (objects.length === 0) return [visibleLine(`${image}  no objects`)];
  return objects.map(({ class: name, score, box }) =>
    visibleLine(
      [image, name, `${(100 * score).toFixed(1)} %`, box.map((side) => side.toFixed(1)).join(' ')].join('  '),
    ),
  );
}

function csvLines({ image, objects }: ImageObjects): string[] {
  return objects.map(({ class: name, score, box }) => [image, name, score, ...box].map(csvField).join(','));
}

/** Writes images, categories and annotations as in `instances_val2017.json`, each annotation with its score. */
function writeObjects(
  out: string,
  found: readonly ImageObjects[],
  { names, categoryIds, classes }: Pick<AnnotatedPredictOptions, 'names' | 'categoryIds' | 'classes'>,
): void {
  const idOf = (label: number) => categoryIds?.[label] ?? label + 1;
  const annotations = found.flatMap(({ objects, width, height }, image) =>
    objects.map(({ label, score, box, segmentation }) => ({
      image_id: image + 1,
      category_id: idOf(label),
      score,
      bbox: box,
      area: rleArea(segmentationRle(segmentation, { width, height })),
      iscrowd: 0,
      segmentation,
    })),
  );
  const content = {
    images: found.map(({ image, width, height }, i) => ({ id: i + 1, width, height, file_name: image })),
    categories: Array.from({ length: classes }, (_, label) => ({
      id: idOf(label),
      name: names?.[label] ?? String(label),
    })),
    annotations: annotations.map((each, i) => ({ id: i + 1, ...each })),
  };
  withFileErrors(out, () => writeFileAtomic(out, `${JSON.stringify(content)}\n`));
}
