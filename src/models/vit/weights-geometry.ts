import { InputError } from '../../base/errors.js';
import { blockCount, type StageTensors } from '../../weights/layout/model-file-stages.js';
import type { UperNetConfig } from '../dense/decoder-config.js';
import { hiddenWidth } from './config.js';

/**
 * Geometry of a vision transformer, inferred from its weights' shapes. They show the number of heads only if queries and keys are
 * normalised.
 */
export interface Geometry {
  /** Pixels per side. */
  readonly imageSize: number;
  /** Pixels per side of one patch. */
  readonly patchSize: number;
  readonly channels: number;
  readonly width: number;
  /** Number of blocks of each stage. */
  readonly depths: readonly number[];
  readonly classes: number;
  /** Hidden width of the MLP, divided by `width`. */
  readonly mlpRatio: number;
  readonly qkvBias: boolean;
  readonly classToken: boolean;
  /** A second token, which learns from a teacher, and usually a second head (DeiT). */
  readonly distilled?: true;
  /** The final norm is after the pooling, as `fc_norm` (timm, MAE). Such a model uses mean pooling. */
  readonly fcNorm?: true;
  /** The position embedding has slots for the patches only. */
  readonly noEmbedClass?: true;
  /** Number of register tokens, if there are any. */
  readonly registers?: number;
  /** The norms have no biases: RMSNorm. */
  readonly norm?: 'rms';
  /** Queries and keys are normalised. */
  readonly qkNorm?: true;
  readonly heads?: number;
  /** The output of each branch has a factor for each channel. */
  readonly hasLayerScale?: true;
  /** The model has a decoder with this neck instead of a head, or it finds objects. */
  readonly neck?: UperNetConfig['neck'] | 'mask-rcnn';
}

/** Geometry of a model that may have no head, as after pre-training. */
export interface BackboneGeometry extends Omit<Geometry, 'classes'> {
  readonly classes: number | null;
}

const STEM = /^(?:(?:cls_token|dist_token|reg_token|pos_embed)$|patch_embed\.)/;
const HEAD = /^(?:norm|fc_norm|head|head_dist|neck|decode_head|auxiliary_head|pyramid|detector)\./;
const PIXELS = 'decode_head.conv_seg.weight';
const REGIONS = 'detector.box_head.classes.weight';

/** The stage of a vision transformer's tensor outside the blocks. */
export function vitEndOf(name: string): 'first' | 'last' | undefined {
  if (STEM.test(name)) return 'first';
  return HEAD.test(name) ? 'last' : undefined;
}

type Shaped = { readonly shape: readonly number[] };
type Shape = readonly number[];

/**
 * Infers the geometry of a vision transformer in stages from its tensors' names and shapes.
 * Throws `InputError` naming `source` and the tensors that are missing or contradict each other.
 */
export function inferGeometry(stages: readonly StageTensors<Shaped>[], source = 'the model'): Geometry {
  const { classes, ...backbone } = inferBackbone(stages, source);
  if (classes !== null) return { ...backbone, classes };
  throw new InputError(`${source}: stages.${stages.length - 1}.head.weight is missing`, {
    hint: 'the file contains a backbone without a classifier: fine-tune it with start.model and start.head: new',
  });
}

/** `inferGeometry` for a model that may have no head; `classes` is null then. */
export function inferBackbone(
  stages: readonly StageTensors<Shaped>[],
  source = 'the model',
): BackboneGeometry {
  const all = stages.map((stage, i) => lookup(stage, `${source}: stages.${i}`));
  const [first, last] = [all[0], all.at(-1)];
  if (first === undefined || last === undefined) throw new InputError(`${source}: has no stages`);
  const { width, channels, patchSize, imageSize, isOfPatches } = stemOf(first);
  const depths = all.map(({ names, where }) => blockCount(names, where));
  const [hidden] = first.get('blocks.0.mlp.fc1.weight', 2);
  const neck = neckOf(last.names);
  const isDecoded = neck !== undefined;
  const classes = classesOf(last);
  const qkvBias = first.names.has('blocks.0.attn.qkv.bias');
  const classToken = first.names.has('cls_token');
  const distilled = first.names.has('dist_token');
  const registers = first.names.has('reg_token') ? first.get('reg_token', 3)[1] : 0;
  const hasLayerScale = first.names.has('blocks.0.ls1.gamma');
  const isRms = !first.names.has('blocks.0.norm1.bias');
  const headWidth = first.names.has(Q_NORM) ? first.get(Q_NORM, 1)[0] : null;
  const fcNorm = last.names.has('fc_norm.weight');

  first.expect({ 'patch_embed.proj.bias': [width] });
  if (classToken) first.expect({ cls_token: [1, 1, width] });
  if (distilled) first.expect({ dist_token: [1, 1, width] });
  if (registers > 0) first.expect({ reg_token: [1, registers, width] });
  if (!isDecoded) last.expect(normShapes(fcNorm ? 'fc_norm' : 'norm', width, isRms));
  if (classes !== null && !isDecoded) last.expect(headShapes('head', width, classes));
  if (classes !== null && last.names.has('head_dist.weight')) {
    last.expect(headShapes('head_dist', width, classes));
  }
  for (const [i, stage] of all.entries()) {
    for (let j = 0; j < depths[i]; j++) {
      stage.expect(blockShapes(`blocks.${j}.`, { width, hidden, qkvBias, hasLayerScale, isRms, headWidth }));
    }
    if (isRms) stage.forbid(/(?:^|[._])norm\d?\.bias$/);
    if (headWidth === null) stage.forbid(/^blocks\.\d+\.attn\.[qk]_norm\./);
    if (!hasLayerScale) stage.forbid(/^blocks\.\d+\.ls[12]\.gamma$/);
    if (!qkvBias) stage.forbid(/^blocks\.\d+\.attn\.qkv\.bias$/);
  }
  const noEmbedClass = isOfPatches && (classToken || distilled || registers > 0);
  const mlpRatio = ratioOf(hidden, width);
  return {
    imageSize,
    patchSize,
    channels,
    width,
    depths,
    classes,
    mlpRatio,
    qkvBias,
    classToken,
    ...(distilled ? { distilled } : {}),
    ...(fcNorm ? { fcNorm } : {}),
    ...(noEmbedClass ? { noEmbedClass } : {}),
    ...(registers > 0 ? { registers } : {}),
    ...(isRms ? { norm: 'rms' as const } : {}),
    ...(headWidth !== null ? { qkNorm: true as const, heads: width / headWidth } : {}),
    ...(hasLayerScale ? { hasLayerScale } : {}),
    ...(isDecoded ? { neck } : {}),
  };
}

/**
 * The ratio from which `hiddenWidth`, and timm, compute `hidden`. The quotient itself may give one less, because it is rounded:
 * floor(448 * (920 / 448)) is 919.
 */
function ratioOf(hidden: number, width: number): number {
  const ratio = hidden / width;
  return hiddenWidth({ width, mlpRatio: ratio }) === hidden ? ratio : ratio * (1 + Number.EPSILON);
}

function neckOf(names: ReadonlySet<string>): Geometry['neck'] {
  if (names.has(REGIONS)) return 'mask-rcnn';
  if (!names.has(PIXELS)) return undefined;
  return names.has('neck.upsample_2x.0.weight') ? 'deconv' : 'multilevel';
}

/** Number of classes; null without a head. */
function classesOf({ names, get }: Lookup): number | null {
  // Regions are also classified as background.
  if (names.has(REGIONS)) return get(REGIONS, 2)[0] - 1;
  if (names.has(PIXELS)) return get(PIXELS, 4)[0];
  return names.has('head.weight') ? get('head.weight', 2)[0] : null;
}

/**
 * The image size and the patch size of weights, which may lack the final norm and the head.
 * @throws InputError naming a tensor of the stem that is missing, or has a wrong shape
 */
export function inferStem(
  stem: StageTensors<Shaped>,
  source: string,
): Pick<BackboneGeometry, 'imageSize' | 'patchSize'> {
  const { imageSize, patchSize } = stemOf(lookup(stem, `${source}: stages.0`));
  return { imageSize, patchSize };
}

function stemOf(stem: Lookup) {
  const [width, channels, patchSize, patchWidth] = stem.get('patch_embed.proj.weight', 4);
  if (patchSize !== patchWidth) throw stem.wrong('patch_embed.proj.weight', 'square patches');
  const { grid, isOfPatches } = gridOf(stem, width, stem.names.has('cls_token'));
  return { width, channels, patchSize, imageSize: grid * patchSize, isOfPatches };
}

function headShapes(name: string, width: number, classes: number): Record<string, Shape> {
  return { [`${name}.weight`]: [classes, width], [`${name}.bias`]: [classes] };
}

function normShapes(name: string, width: number, isRms: boolean): Record<string, Shape> {
  return { [`${name}.weight`]: [width], ...(isRms ? {} : { [`${name}.bias`]: [width] }) };
}

const Q_NORM = 'blocks.0.attn.q_norm.weight';

interface BlockGeometry {
  readonly width: number;
  readonly hidden: number;
  readonly qkvBias: boolean;
  readonly hasLayerScale: boolean;
  readonly isRms: boolean;
  /** Width of a head, if its queries and keys are normalised. */
  readonly headWidth: number | null;
}

function blockShapes(prefix: string, geometry: BlockGeometry): Record<string, Shape> {
  const { width, hidden, qkvBias, hasLayerScale, isRms, headWidth } = geometry;
  const ofHead = (name: string) => (headWidth === null ? {} : normShapes(name, headWidth, isRms));
  const shapes: Record<string, Shape> = {
    ...normShapes('norm1', width, isRms),
    ...ofHead('attn.q_norm'),
    ...ofHead('attn.k_norm'),
    'attn.qkv.weight': [3 * width, width],
    ...(qkvBias ? { 'attn.qkv.bias': [3 * width] } : {}),
    'attn.proj.weight': [width, width],
    'attn.proj.bias': [width],
    ...normShapes('norm2', width, isRms),
    'mlp.fc1.weight': [hidden, width],
    'mlp.fc1.bias': [hidden],
    'mlp.fc2.weight': [width, hidden],
    'mlp.fc2.bias': [width],
    ...(hasLayerScale ? { 'ls1.gamma': [width], 'ls2.gamma': [width] } : {}),
  };
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [prefix + name, shape]));
}

/**
 * Patches per side, from the slots of the position embedding: one for each patch, and usually one for each special token. A
 * square number of slots has none for them, because n^2 - 1 is a square only for n = 1. A model with registers has slots for the
 * patches only, as all such models of timm.
 */
function gridOf(stage: Lookup, width: number, classToken: boolean) {
  const [, slots] = stage.get('pos_embed', 3);
  stage.expect({ pos_embed: [1, slots, width] });
  const special = Number(classToken) + Number(stage.names.has('dist_token'));
  const sideOf = (patches: number) => Math.round(Math.sqrt(patches));
  const isSquare = (patches: number) => patches >= 1 && sideOf(patches) ** 2 === patches;
  const mayHaveSpecial = !stage.names.has('reg_token');
  if (mayHaveSpecial && isSquare(slots - special))
    return { grid: sideOf(slots - special), isOfPatches: special === 0 };
  const isOnlyPatches = isSquare(slots) && (slots > special || !mayHaveSpecial);
  if (isOnlyPatches) return { grid: sideOf(slots), isOfPatches: true };
  throw stage.wrong('pos_embed', 'one position per patch of a square grid');
}

type Lookup = ReturnType<typeof lookup>;

/** Lookups and checks of one stage's shapes; `where` names the stage in errors. */
function lookup(stage: StageTensors<Shaped>, where: string) {
  const wrong = (name: string, expected: string) =>
    new InputError(`${where}.${name} is [${stage.get(name)?.shape}], expected ${expected}`);
  const get = (name: string, dimensions: number): Shape => {
    const shape = stage.get(name)?.shape;
    if (shape === undefined) throw new InputError(`${where}.${name} is missing`);
    if (shape.length !== dimensions) throw wrong(name, `${dimensions} dimensions`);
    return shape;
  };
  return {
    where,
    names: new Set(stage.keys()),
    wrong,
    get,
    expect: (shapes: Readonly<Record<string, Shape>>) => {
      const missing = Object.keys(shapes).filter((name) => !stage.has(name));
      if (missing.length > 0) throw new InputError(`${where}: ${missing.join(', ')} missing`);
      for (const [name, shape] of Object.entries(shapes)) {
        if (String(get(name, shape.length)) !== String(shape)) throw wrong(name, `[${shape}]`);
      }
    },
    forbid: (pattern: RegExp) => {
      const found = [...stage.keys()].find((name) => pattern.test(name));
      if (found !== undefined) throw new InputError(`${where}.${found} exists, but others do not`);
    },
  };
}
