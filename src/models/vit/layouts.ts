import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { writeJsonAtomic } from '../../files/atomic.js';
import { replaceFile } from '../../files/file-bytes.js';
import { huggingFaceProcessor } from '../../weights/layout/layout-processor.js';
import { isDivided, type StageTensors, splitStages } from '../../weights/layout/model-file-stages.js';
import type { LazyTensor } from '../../weights/lazy-tensor.js';
import { safetensorsWriter } from '../../weights/safetensors/safetensors.js';
import { torchFileWriter } from '../../weights/torch-file/torch-file-write.js';
import { requireClassifier } from '../dense/classifier-only.js';
import { joinBy } from '../divide-stages.js';
import {
  CLASS_NAMES,
  type ForeignLayout,
  type LayoutFacts,
  type PythonUse,
  type StatedModel,
} from '../layout.js';
import { isMeanPooled, type VitConfig } from './config.js';
import { huggingFaceConfig, huggingFaceHints, timmHints } from './layout-config.js';
import { fromHuggingFace, isHuggingFace, joinQkv, toHuggingFace } from './layout-huggingface.js';
import { inOrder, officialFile } from './layout-official.js';
import { timmConfig, withHead, withoutExtraTensors } from './layout-timm.js';
import { inferGeometry, vitEndOf } from './weights-geometry.js';

type Stages = readonly StageTensors<TensorData>[];

const timm: ForeignLayout<VitConfig> = {
  name: 'timm',
  library: 'timm',
  isDivided: false,
  isFolder: false,
  storesFacts: 'with class names',
  recognises: (names) => hasPatches(names) && !names.some(isDivided),
  read: readNamed,
  hintsIn: timmHints,
  write(path, stages, { classNames, source = path }) {
    requireHead(stages, source, 'timm');
    const names = classNames && { [CLASS_NAMES]: JSON.stringify(classNames) };
    replaceFile(path, safetensorsWriter(joinBy(vitEndOf, stages, path), { format: 'pt', ...names }));
  },
  configOf: (stages, facts) => timmConfig(inferGeometry(stages), facts),
  noteOn: unseenMean,
  usage: timmUse,
};

const huggingFace: ForeignLayout<VitConfig> = {
  name: 'huggingface',
  library: 'transformers',
  isDivided: false,
  isFolder: true,
  storesFacts: 'always',
  recognises: isHuggingFace,
  read(state, path) {
    const { kept, leftOut } = withoutExtraTensors(state);
    return { stages: [joinQkv(fromHuggingFace(kept, path), path)], leftOut };
  },
  hintsIn: huggingFaceHints,
  write: writeHuggingFace,
  usage: huggingFaceUse,
};

const official: ForeignLayout<VitConfig> = {
  name: 'official',
  library: 'deep-incubation',
  isDivided: true,
  isFolder: false,
  storesFacts: 'never',
  recognises: (names) => hasPatches(names) && names.some(isDivided),
  read: readNamed,
  // The official code has them in the undivided model only.
  isOutsideStages: (name) => /^(dist_token$|head_dist\.)/.test(name),
  write(path, stages, { classNames, source = path }) {
    requireHead(stages, source, 'the official layout');
    requireWithoutAdditions(stages, source, 'the official layout');
    replaceFile(path, torchFileWriter(officialFile(stages.map(inOrder), classNames)));
  },
  noteOn: unseenMean,
};

/** The layouts of other programs with vision transformers. */
export const vitLayouts: readonly ForeignLayout<VitConfig>[] = [timm, huggingFace, official];

function hasPatches(names: readonly string[]): boolean {
  return names.some((name) => /(^|\.)patch_embed\./.test(name));
}

function readNamed(state: ReadonlyMap<string, LazyTensor>, path: string) {
  const { kept, leftOut } = withoutExtraTensors(state);
  const named = new Map([...withHead(kept)].map(([name, tensor]) => [timmName(name), tensor]));
  const stages = splitStages(named, path, vitEndOf).map((stage) => joinQkv(stage, path));
  return { stages, leftOut };
}

/** DeiT's own files have timm's names but for LayerScale: `gamma_1` is `ls1.gamma`. */
const timmName = (name: string): string => name.replace(/\.gamma_([12])$/, '.ls$1.gamma');

/** A note on a model that pools by the mean, unless its weights or layout show it. */
function unseenMean(stages: Stages, { pool }: StatedModel): string | undefined {
  const { classToken, fcNorm } = inferGeometry(stages);
  if (!classToken || fcNorm || pool !== 'mean') return undefined;
  return "the model uses mean pooling, which its weights do not show: create it in timm with global_pool='avg', fc_norm=False";
}

function requireHead(stages: Stages, source: string, layout: string): void {
  const { neck } = inferGeometry(stages);
  const head = neck === 'mask-rcnn' ? { detector: neck } : { decoder: neck };
  requireClassifier(head, source, `be written as ${layout}`);
}

/**
 * Checks that a model has no additions to the original vision transformer.
 * @throws InputError if it has LayerScale, registers, RMSNorm, normalised queries, or a position embedding without a class position
 */
function requireWithoutAdditions(stages: Stages, source: string, layout: string): void {
  const { hasLayerScale, noEmbedClass, registers, norm, qkNorm } = inferGeometry(stages);
  const additions = [
    [hasLayerScale, 'LayerScale'],
    [registers, 'registers'],
    [qkNorm, 'norms of queries and keys'],
    [norm, 'RMSNorm'],
    [noEmbedClass, 'a position embedding without a class position'],
  ] as const;
  const added = additions.find(([has]) => has)?.[1];
  if (added === undefined) return;
  throw new InputError(`${source}: ${layout} has no place for ${added}, which this model has`, {
    hint: 'convert it --to timm, or export it as ONNX',
  });
}

function writeHuggingFace(path: string, stages: Stages, facts: LayoutFacts): void {
  const { heads, layerNormEps, pool, classNames, pixels, source = path } = facts;
  requireHead(stages, source, 'a Hugging Face ViT');
  if (heads === undefined || layerNormEps === undefined) {
    const missing = heads === undefined ? 'the number of attention heads' : "LayerNorm's epsilon";
    throw new InputError(
      `${source}: a Hugging Face model needs ${missing}, which the weights do not contain`,
    );
  }
  requireWithoutAdditions(stages, source, 'a Hugging Face ViT');
  const geometry = inferGeometry(stages);
  if (!geometry.classToken) {
    throw new InputError(`${source}: a Hugging Face ViT has a class token, but this model has none`);
  }
  if (geometry.fcNorm || pool === 'mean') {
    throw new InputError(
      `${source}: a Hugging Face ViT classifies by the class token, but this model uses mean pooling`,
      {
        hint: 'convert it --to timm, or export it as ONNX',
      },
    );
  }
  if (geometry.width % heads !== 0) {
    throw new InputError(`${source}: the width ${geometry.width} cannot be split into ${heads} heads`);
  }
  const model = joinBy(vitEndOf, stages, 'the model');
  const tensors = toHuggingFace(model);
  const hasTwoHeads = model.has('head_dist.weight');
  const config = huggingFaceConfig(geometry, { heads, layerNormEps, hasTwoHeads, classNames });
  // The weights are written last: a folder that has them is complete.
  writeJsonAtomic(join(path, 'config.json'), config);
  if (pixels !== undefined) {
    writeJsonAtomic(join(path, 'preprocessor_config.json'), huggingFaceProcessor(geometry, pixels));
  }
  replaceFile(join(path, 'model.safetensors'), safetensorsWriter(tensors, { format: 'pt' }));
}

/** Loads the model with transformers. */
function huggingFaceUse(): PythonUse {
  return {
    lines: [
      'from transformers import ViTForImageClassification',
      '',
      "model = ViTForImageClassification.from_pretrained('.').eval()  # this folder, or its name on the hub",
    ],
    logits: '.logits',
  };
}

/** Builds the model with timm's classes and loads a file of weights. */
function timmUse(config: VitConfig, file: string): PythonUse {
  const { imageSize, patchSize, channels, classes, width, depth, heads, mlpRatio, qkvBias } = config;
  const name = config.distilled ? 'VisionTransformerDistilled' : 'VisionTransformer';
  const python = (value: boolean) => (value ? 'True' : 'False');
  const lines = [
    'from functools import partial',
    'from safetensors.torch import load_file',
    config.distilled
      ? `from timm.models.deit import ${name}`
      : `from timm.models.vision_transformer import ${name}`,
    ...(config.norm === 'rms' ? ['from timm.layers import RmsNorm'] : []),
    '',
    `model = ${name}(`,
    `    img_size=${imageSize}, patch_size=${patchSize}, in_chans=${channels}, num_classes=${classes},`,
    `    embed_dim=${width}, depth=${depth}, num_heads=${heads}, mlp_ratio=${mlpRatio}, qkv_bias=${python(qkvBias)},`,
    ...(isMeanPooled(config)
      ? [
          `    class_token=${python(config.classToken)}, global_pool='avg', fc_norm=${python(config.fcNorm ?? false)},`,
        ]
      : []),
    ...(config.noEmbedClass ? ['    no_embed_class=True,'] : []),
    ...(config.registers ? [`    reg_tokens=${config.registers},`] : []),
    ...(config.qkNorm ? ['    qk_norm=True,'] : []),
    // The value does not matter: the weights have their own.
    ...(config.layerScale === undefined ? [] : ['    init_values=1e-5,']),
    config.norm === 'rms'
      ? `    norm_layer=partial(RmsNorm, eps=${config.layerNormEps}),`
      : `    norm_layer=partial(torch.nn.LayerNorm, eps=${config.layerNormEps}),`,
    ').eval()',
    `model.load_state_dict(load_file(${JSON.stringify(file)}))`,
  ];
  return { lines, logits: '' };
}
