import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { EVAL_CROP, evalShorterSide, SMALL_IMAGE } from '../../data/transforms/transform.js';
import { familyOf, familyOfStages } from '../../models/families/families.js';
import type { Layout } from '../../models/family.js';
import { type ModelFamily, wholeFacts } from '../../models/family.js';
import type { ModelFile } from '../../models/model-file/model-file.js';
import { divideStages } from '../../models/model-file/model-file-divide.js';
import { writeModelFile } from '../../models/model-file/model-file-write.js';
import { headerEntries, type Told, toldBeside } from '../../models/model-file/told-beside.js';
import { fitStem } from '../../models/vit/position-embedding.js';
import { type Geometry, inferGeometry } from '../../models/vit/weights-geometry.js';
import type { CheckpointFile } from '../../phase/start/checkpoint-file.js';
import { modelOfCheckpoint } from '../../phase/start/model-of-checkpoint.js';
import { statedFacts } from '../../phase/start/stated-facts.js';
import { modelConfigOf } from '../../recipe/recipe-model.js';
import { bytes } from '../../report/format.js';
import { countParameters } from '../../weights/count-parameters.js';
import type { PixelFacts } from '../../weights/layout/layout-processor.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { knownClasses } from '../checkpoint/classes.js';
import { writeCard } from '../checkpoint/model-card.js';
import { openCheckpoint } from '../checkpoint/open-checkpoint.js';
import { writeTimmConfig } from '../checkpoint/timm-config.js';
import { noteAssumed } from '../terminal/assumed.js';
import { columns, note, print, printJson } from '../terminal/output.js';

interface ConvertOptions {
  readonly to: Layout;
  readonly depths?: readonly number[];
  readonly resize?: number;
  readonly classes?: string;
  readonly recipe?: string;
  readonly set?: readonly string[];
  readonly force?: true;
  readonly weights?: WeightsKind;
  readonly json?: true;
}

/** `convert`: writes a checkpoint's weights in the format of another program. */
export async function convert(name: string, out: string, options: ConvertOptions): Promise<void> {
  const { to, depths, resize } = options;
  if (depths && !DIVIDED.includes(to)) {
    throw new InputError(`--depths: ${to} knows no stages`, {
      hint: `leave --depths out, or convert --to ${DIVIDED.join(' or ')}`,
    });
  }
  requireFree(out, to, options.force ?? false);
  const checkpoint = await openCheckpoint(name, options.weights);
  const { file } = checkpoint;
  const family = familyOfStages(file.stages);
  requireLayout(family, to, checkpoint.name);
  if (!family.layouts.includes('timm')) {
    convertAsIs(family, checkpoint, out, options);
    return;
  }
  const sized = resize === undefined ? file.stages : resized(file, resize);
  const stages = depths ? divideStages(sized, depths, file.path) : sized;
  const geometry = inferGeometry(stages, file.path);
  const { named } = knownClasses(checkpoint, { count: geometry.classes, stated: options.classes });
  const { pixels, ...told } = toldOf(checkpoint, options, named !== undefined);
  writeModelFile(out, stages, {
    to,
    ...told,
    classNames: named?.names,
    pixels: pixels && { ...pixels, shorterSide: shorterSide(geometry.imageSize, pixels.evalCrop) },
    metadata: { ...(file.layout === 'deep-incubation' && file.metadata), ...headerEntries(told) },
  });
  if (to === 'timm' && named !== undefined) {
    const cropShare = pixels && (geometry.imageSize <= SMALL_IMAGE ? 1 : pixels.evalCrop);
    const config = writeTimmConfig(out, geometry, {
      heads: told.heads,
      pool: told.pool,
      classNames: named.names,
      pixels: pixels && cropShare ? { mean: pixels.mean, std: pixels.std, cropShare } : undefined,
      force: options.force ?? false,
    });
    if (!config.isWritten)
      note(`${config.path} exists: timm's config was not written (--force overwrites it)`);
  }
  if ((to === 'timm' || to === 'official') && isMeanUnseen(checkpoint, geometry)) {
    note(
      "the model pools by the mean, which its weights do not show: timm needs global_pool='avg', fc_norm=False",
    );
  }
  const card = writeCard(checkpoint, out, {
    to,
    imageSize: geometry.imageSize,
    isResized: resize !== undefined,
    force: options.force ?? false,
    classNames: named?.names,
  });
  if (card?.isWritten === false)
    note(`${card.path} exists: the model card was not written (--force overwrites it)`);

  finish({
    checkpoint,
    out,
    options,
    stages,
    depths: geometry.depths,
    imageSize: geometry.imageSize,
    hasNames: named !== undefined,
    card: card?.isWritten ? card.path : undefined,
  });
}

interface Written {
  readonly checkpoint: CheckpointFile;
  readonly out: string;
  readonly options: ConvertOptions;
  readonly stages: ModelFile['stages'];
  readonly depths: readonly number[];
  readonly imageSize?: number;
  readonly hasNames: boolean;
  readonly card?: string | undefined;
}

function finish({ checkpoint, out, options, stages, depths, imageSize, hasNames, card }: Written): void {
  const { to, json } = options;
  const tensors = stages.flatMap((stage) => [...stage.values()]);
  const result: Result = {
    checkpoint: checkpoint.name,
    from: checkpoint.file.layout,
    out,
    to,
    depths: DIVIDED.includes(to) ? depths : [depths.reduce((a, b) => a + b, 0)],
    image_size: imageSize ?? null,
    tensors: tensors.length,
    parameters: countParameters(stages),
    class_names: hasNames,
    bytes: bytesOf(out),
    ...(card !== undefined && { card }),
  };
  if (json) printJson(result);
  else printResult(result);
}

function requireLayout({ layouts, title }: ModelFamily, to: Layout, name: string): void {
  if (layouts.includes(to)) return;
  throw new InputError(`${name} holds a ${title}, which ${to} does not`, {
    hint: `convert it --to ${layouts.join(' or ')}`,
  });
}

/** Converts a model whose weights contain everything that the layouts store, for images of any size. */
function convertAsIs(
  family: ModelFamily,
  checkpoint: CheckpointFile,
  out: string,
  options: ConvertOptions,
): void {
  const { to, depths, resize } = options;
  const { file, name } = checkpoint;
  if (resize !== undefined) {
    throw new InputError(`--resize: ${name} holds a ${family.title}, which takes images of any size`, {
      hint: 'leave --resize out',
    });
  }
  const stages = depths ? divideStages(file.stages, depths, file.path) : file.stages;
  const facts = wholeFacts(family, { stages, path: file.path });
  const { named } = knownClasses(checkpoint, { count: facts.classes, stated: options.classes });
  writeModelFile(out, stages, {
    to,
    classNames: named?.names,
    metadata: file.layout === 'deep-incubation' ? file.metadata : {},
  });
  finish({
    checkpoint,
    out,
    options,
    stages,
    depths: facts.depths,
    hasNames: named !== undefined,
  });
}

function isMeanUnseen(checkpoint: CheckpointFile, { classToken, fcNorm }: Geometry): boolean {
  return classToken && !fcNorm && statedFacts(checkpoint).pool === 'mean';
}

/** Layouts that support stages. */
const DIVIDED: readonly Layout[] = ['deep-incubation', 'official'];

/** Throws `InputError` if `out` exists and may not be overwritten, or is a file instead of a folder or vice versa. */
function requireFree(out: string, to: Layout, force: boolean): void {
  if (!existsSync(out)) return;
  const isFolder = to === 'huggingface';
  if (statSync(out).isDirectory() !== isFolder) {
    const [is, written] = isFolder ? ['file', 'folder'] : ['folder', 'file'];
    throw new InputError(`${out} is a ${is}, ${to} is written as a ${written}`, {
      hint: 'give another place for it',
    });
  }
  if (force || (isFolder && readdirSync(out).length === 0)) return;
  throw new InputError(`${out} exists already`, { hint: 'give another place, or --force to overwrite it' });
}

/** Facts besides the weights that the output format can store. */
function toldOf(
  checkpoint: CheckpointFile,
  { to, recipe, set = [] }: ConvertOptions,
  hasNames: boolean,
): Told & { readonly pixels?: Pixels | undefined } {
  if (to === 'official' || (to === 'timm' && !hasNames)) return {};
  const { file, manifest } = checkpoint;
  const mustKnow = to === 'huggingface';
  if (!mustKnow && manifest === undefined && recipe === undefined && set.length === 0) {
    const { mean, std, evalCrop = EVAL_CROP } = file.hints;
    const pixels = to === 'timm' && mean && std ? { mean, std, evalCrop } : undefined;
    return { ...toldBeside(file), pixels };
  }
  const known = modelOfCheckpoint(checkpoint, { recipe, settings: set });
  for (const line of known.differences) note(line);
  noteAssumed(known.assumptions);
  const stated = familyOf(known.recipe.model).statedBy(modelConfigOf(known.recipe));
  const { mean, std, eval_crop: evalCrop } = known.recipe.data;
  const isTold =
    (manifest ?? recipe ?? file.hints.mean) !== undefined ||
    set.some((each) => each.startsWith('data.mean='));
  return {
    ...stated,
    ...(to !== 'deep-incubation' && isTold && { pixels: { mean, std, evalCrop } }),
  };
}

/** Preprocessing of a model's pixels in evaluation. */
interface Pixels extends Pick<PixelFacts, 'mean' | 'std'> {
  readonly evalCrop: number;
}

function shorterSide(imageSize: number, evalCrop: number): number | null {
  return imageSize <= SMALL_IMAGE ? null : evalShorterSide(imageSize, evalCrop);
}

function resized({ stages, path }: ModelFile, imageSize: number): ModelFile['stages'] {
  const { patchSize } = inferGeometry(stages, path);
  if (imageSize % patchSize !== 0) {
    throw new InputError(
      `--resize ${imageSize}: it is not a multiple of ${path}'s patches of ${patchSize} pixels`,
      {
        hint: `such as ${Math.max(Math.round(imageSize / patchSize), 1) * patchSize}`,
      },
    );
  }
  const [stem, ...others] = stages;
  return [fitStem(stem, { imageSize, patchSize }, path), ...others];
}

function bytesOf(out: string): number {
  if (!statSync(out).isDirectory()) return statSync(out).size;
  return ['config.json', 'model.safetensors'].reduce((sum, name) => sum + statSync(join(out, name)).size, 0);
}

interface Result {
  readonly checkpoint: string;
  readonly from: Layout;
  readonly out: string;
  readonly to: Layout;
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  /** Null if the model accepts images of any size. */
  readonly image_size: number | null;
  readonly tensors: number;
  readonly parameters: number;
  /** Whether the class names were written. */
  readonly class_names: boolean;
  readonly bytes: number;
  /** Path of the model card, if it was written. */
  readonly card?: string;
}

function printResult(result: Result): void {
  const rows = [
    ['written', result.out],
    ...(result.card === undefined ? [] : [['model card', result.card]]),
    ['format', `${result.to}, from ${result.from}`],
    ['blocks', result.depths.join(' ')],
    ...(result.image_size === null ? [] : [['image size', String(result.image_size)]]),
    ['tensors', result.tensors.toLocaleString('en-US')],
    ['parameters', result.parameters.toLocaleString('en-US')],
    ['size', bytes(result.bytes)],
  ];
  print(...columns(rows, 2));
}
