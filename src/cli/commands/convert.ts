import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { EVAL_CROP, evalShorterSide, SMALL_IMAGE } from '../../data/transforms/transform.js';
import {
  type CheckpointFile,
  familyOfCheckpoint,
  type Manifest,
  manifestEntry,
} from '../../launch/start/checkpoint-file.js';
import { modelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import { statedFacts } from '../../launch/start/stated-facts.js';
import { allFamilies, familyOf } from '../../models/families/families.js';
import { type ModelFamily, wholeFacts } from '../../models/family.js';
import type { ForeignLayout, Layout } from '../../models/layout.js';
import type { ModelFile } from '../../models/model-file/model-file.js';
import { divideStages, writeModelFile } from '../../models/model-file/model-file-write.js';
import { type HeaderHints, headerEntries, headerHints } from '../../models/model-file/model-hints.js';
import { modelConfigOf } from '../../recipe/recipe-model.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { bytes } from '../../report/format.js';
import { countParameters } from '../../weights/count-parameters.js';
import type { PixelFacts } from '../../weights/layout/layout-processor.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { knownClasses } from '../checkpoint/classes.js';
import { writeCard, writeLayoutConfig } from '../checkpoint/companion-files.js';
import { openCheckpoint } from '../checkpoint/open-checkpoint.js';
import { columns, note, noteAssumed, print, printJson } from '../terminal/output.js';

export interface ConvertOptions {
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
  requireFree(out, options.to, options.force ?? false);
  finish(convertCheckpoint(await openCheckpoint(name, options.weights), out, options));
}

/** `convert` without its result on the terminal. */
export function convertCheckpoint(checkpoint: CheckpointFile, out: string, options: ConvertOptions): Written {
  const { to, depths, resize, force = false } = options;
  if (depths && !isDivided(to)) {
    throw new InputError(`--depths: the format ${to} has no stages`, {
      hint: `omit --depths, or convert --to ${DIVIDED.join(' or ')}`,
    });
  }
  requireFree(out, to, force);
  const { file } = checkpoint;
  const family = familyOfCheckpoint(checkpoint);
  const layout = layoutOf(family, to, checkpoint.name);
  const sized = resize === undefined ? file.stages : family.resize(file.stages, resize, file.path);
  const stages = depths ? divideStages(sized, depths, file.path) : sized;
  const facts = wholeFacts(family, { stages, path: file.path }, checkpoint.manifest?.model);
  const { imageSize } = facts;
  const { named } = knownClasses(checkpoint, { count: facts.classes, stated: options.classes });
  const { pixels, manifest, ...hints } = hintsFor(checkpoint, layout, {
    ...options,
    hasNames: named !== undefined,
  });
  writeModelFile(out, stages, {
    to,
    ...hints,
    source: checkpoint.name,
    classNames: named?.names,
    pixels:
      pixels && imageSize ? { ...pixels, shorterSide: shorterSide(imageSize, pixels.evalCrop) } : undefined,
    metadata: {
      ...(file.layout === 'deep-incubation' && file.metadata),
      ...headerEntries({ ...hints, ...pixels }),
      ...(manifest && manifestEntry(resizedTo(manifest, { depths: facts.depths, resize }))),
    },
  });
  if (layout?.configOf && named !== undefined) {
    const cropShare = pixels && (imageSize && imageSize <= SMALL_IMAGE ? 1 : pixels.evalCrop);
    const content = layout.configOf(stages, {
      heads: hints.heads,
      pool: hints.pool,
      classNames: named.names,
      pixels: pixels && cropShare ? { mean: pixels.mean, std: pixels.std, cropShare } : undefined,
      weightsFile: basename(out),
    });
    const config = writeLayoutConfig(out, content, force);
    if (!config.isWritten)
      note(`${config.path} exists: ${layout.name}'s config was not written (--force overwrites it)`);
  }
  const remark = layout?.noteOn?.(stages, statedFacts(checkpoint));
  if (remark !== undefined) note(remark);
  const card = writeCard(checkpoint, out, {
    family,
    layout,
    facts,
    isResized: resize !== undefined,
    force,
    classNames: named?.names,
  });
  if (card?.isWritten === false)
    note(`${card.path} exists: did not write the model card (--force overwrites it)`);

  return {
    checkpoint,
    out,
    options,
    stages,
    depths: facts.depths,
    imageSize,
    hasNames: named !== undefined,
    card: card?.isWritten ? card.path : undefined,
  };
}

interface Written {
  readonly checkpoint: CheckpointFile;
  readonly out: string;
  readonly options: ConvertOptions;
  readonly stages: ModelFile['stages'];
  readonly depths: readonly number[];
  readonly imageSize?: number | undefined;
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
    depths: isDivided(to) ? depths : [depths.reduce((a, b) => a + b, 0)],
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

/** The family's layout of that name; undefined for this program's own. */
function layoutOf({ layouts, title }: ModelFamily, to: Layout, name: string): ForeignLayout | undefined {
  if (to === 'deep-incubation') return undefined;
  const found = layouts.find((layout) => layout.name === to);
  if (found !== undefined) return found;
  const names = ['deep-incubation', ...layouts.map((layout) => layout.name)];
  throw new InputError(`${name} contains a ${title}, which the format ${to} does not support`, {
    hint: `convert it --to ${names.join(' or ')}`,
  });
}

/** Layouts that support stages. */
const DIVIDED: readonly Layout[] = [
  'deep-incubation',
  ...allFamilies().flatMap(({ layouts }) => layouts.flatMap((each) => (each.isDivided ? [each.name] : []))),
];

function isDivided(to: Layout): boolean {
  return DIVIDED.includes(to);
}

/** File names by which other programs choose how to read weights, and the formats that must not have them. */
const ENDINGS: readonly {
  readonly name: RegExp;
  readonly isWrong: (to: Layout) => boolean;
  readonly kind: string;
}[] = [
  {
    name: /\.safetensors$/i,
    isWrong: (to) => to === 'official',
    kind: 'a file of torch.save: choose a path that ends in .pth',
  },
  {
    name: /\.(pth|pt|bin|ckpt)$/i,
    isWrong: (to) => to !== 'official' && to !== 'huggingface',
    kind: 'a safetensors file: choose a path that ends in .safetensors',
  },
];

/**
 * Throws `InputError` if `out` exists and may not be overwritten, is a file instead of a folder or vice versa, or has the ending of
 * another kind of file.
 */
function requireFree(out: string, to: Layout, force: boolean): void {
  const wrong = ENDINGS.find(({ name, isWrong }) => name.test(out) && isWrong(to));
  if (wrong !== undefined) {
    throw new InputError(`${out}: the format ${to} cannot have this ending`, {
      hint: `it is written as ${wrong.kind}`,
    });
  }
  if (!existsSync(out)) return;
  const isFolder = to === 'huggingface';
  if (statSync(out).isDirectory() !== isFolder) {
    const [is, written] = isFolder ? ['file', 'folder'] : ['folder', 'file'];
    throw new InputError(`${out} is a ${is}, but the format ${to} is written as a ${written}`, {
      hint: 'choose another output path',
    });
  }
  if (force || (isFolder && readdirSync(out).length === 0)) return;
  throw new InputError(`${out} already exists`, {
    hint: 'choose another output path, or --force to overwrite it',
  });
}

/** Facts besides the weights that the output format can store. */
function hintsFor(
  checkpoint: CheckpointFile,
  layout: ForeignLayout | undefined,
  { recipe, set = [], hasNames }: ConvertOptions & { readonly hasNames: boolean },
): HeaderHints & { readonly pixels?: Pixels | undefined; readonly manifest?: Manifest | undefined } {
  const stored = layout?.storesFacts;
  if (stored === 'never' || (stored === 'with class names' && !hasNames)) return {};
  const { file, manifest } = checkpoint;
  const mustKnow = stored === 'always';
  if (!mustKnow && manifest === undefined && recipe === undefined && set.length === 0) {
    const { mean, std, evalCrop = EVAL_CROP, ...hints } = headerHints(file);
    return { ...hints, pixels: mean && std ? { mean, std, evalCrop } : undefined };
  }
  const known = modelOfCheckpoint(checkpoint, { recipe, settings: set });
  for (const line of known.differences) note(line);
  noteAssumed(known.assumptions);
  const stated = familyOf(known.recipe.model).statedBy(modelConfigOf(known.recipe));
  const { mean, std, eval_crop: evalCrop } = known.recipe.data;
  const isKnown =
    (manifest ?? recipe ?? headerHints(file).mean) !== undefined ||
    set.some((each) => each.startsWith('data.mean='));
  const isChanged = recipe !== undefined || set.length > 0;
  return {
    ...stated,
    ...(isKnown && { pixels: { mean, std, evalCrop } }),
    manifest: manifest && isChanged ? manifestOf(manifest, known.recipe) : manifest,
  };
}

/** The manifest with the model and the images of a recipe. Its accuracy was measured without that recipe. */
function manifestOf({ last: _, ...manifest }: Manifest, { model, data }: Recipe): Manifest {
  const { mean, std, eval_crop, exif, grey16 } = data;
  return { ...manifest, model: { ...model }, mean, std, eval_crop, exif, grey16 };
}

/** The manifest for other depths of the stages, and for another image size, at which the accuracy is not known. */
function resizedTo(
  { last, model, ...manifest }: Manifest,
  { depths, resize }: { readonly depths: readonly number[]; readonly resize: number | undefined },
): Manifest {
  const whole = { ...manifest, depths: [...depths] };
  return resize === undefined
    ? { ...whole, model, last }
    : { ...whole, model: { ...model, image_size: resize } };
}

/** Preprocessing of a model's pixels in evaluation. */
interface Pixels extends Pick<PixelFacts, 'mean' | 'std'> {
  readonly evalCrop: number;
}

function shorterSide(imageSize: number, evalCrop: number): number | null {
  return imageSize <= SMALL_IMAGE ? null : evalShorterSide(imageSize, evalCrop);
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
