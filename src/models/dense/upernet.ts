import { BatchNorm2d } from '../../nn/convolutional.js';
import { type InitContext, normalParameter, zeroParameter } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import {
  adaptiveAveragePool2d,
  add,
  bernoulli,
  concat,
  conv2d,
  halvedByMax,
  mul,
  reshape,
  resizeBilinear,
  slice,
} from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { type Tensor, upload } from '../../torch/tensor.js';
import { Layer, type Pass } from '../staged.js';
import { ConvModule, Gelu, type Mode, PlainConv, UpConv } from './conv-module.js';
import {
  mapSize,
  NECK_SCALES,
  type PatchDecoder,
  POOL_SIZES,
  type Size,
  type UperNetConfig,
} from './decoder-config.js';
import { tapMaps } from './taps.js';

/** What the decoder needs to know of its backbone. */
export interface DecoderPlan extends PatchDecoder {
  /** Channels of the taps. */
  readonly width: number;
  readonly classes: number;
}

/** 1x1 convolution: the logits of each class. */
class Classifier extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(inputs: number, classes: number, context: InitContext) {
    super();
    this.weight = normalParameter([classes, inputs, 1, 1], context, 0.01);
    this.bias = zeroParameter([classes], context);
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias);
  }
}

/** mmsegmentation's UPerHead: pyramid pooling on the coarsest map, a feature pyramid over all maps, one classifier. */
class UPerHead extends Module {
  readonly conv_seg: Classifier;
  readonly psp_modules: readonly PooledConv[];
  readonly bottleneck: ConvModule;
  readonly lateral_convs: readonly ConvModule[];
  readonly fpn_convs: readonly ConvModule[];
  readonly fpn_bottleneck: ConvModule;

  constructor({ decoder: { channels }, width, classes }: DecoderPlan, context: InitContext) {
    super();
    const finer = NECK_SCALES.slice(1);
    this.conv_seg = new Classifier(channels, classes, context);
    this.psp_modules = POOL_SIZES.map((size) => new PooledConv(size, width, channels, context));
    this.bottleneck = new ConvModule(width + POOL_SIZES.length * channels, channels, 3, context);
    this.lateral_convs = finer.map(() => new ConvModule(width, channels, 1, context));
    this.fpn_convs = finer.map(() => new ConvModule(channels, channels, 3, context));
    this.fpn_bottleneck = new ConvModule(NECK_SCALES.length * channels, channels, 3, context);
  }

  /** @returns features [B, channels, h, w] at the size of the finest map */
  features(maps: readonly Tensor[], mode: Mode): Tensor {
    const laterals = this.lateral_convs.map((conv, i) => conv.forward(maps[i], mode));
    laterals.push(this.#pooled(maps[maps.length - 1], mode));
    for (let i = laterals.length - 1; i > 0; i--) {
      laterals[i - 1] = scope(() => add(laterals[i - 1], resizedTo(laterals[i], laterals[i - 1])));
    }
    const levels = laterals.map((map, i) => this.fpn_convs[i]?.forward(map, mode) ?? map);
    const [finest, ...coarser] = levels;
    const resized = coarser.map((map) => resizedTo(map, finest));
    return this.fpn_bottleneck.forward(concat([finest, ...resized], 1), mode);
  }

  #pooled(top: Tensor, mode: Mode): Tensor {
    const pooled = this.psp_modules.map((each) => resizedTo(each.forward(top, mode), top));
    return this.bottleneck.forward(concat([top, ...pooled], 1), mode);
  }
}

/** A branch of the pyramid pooling module; mmsegmentation's parameters have the prefix `1.`. */
class PooledConv extends Module {
  readonly '1': ConvModule;
  readonly #size: number;

  constructor(size: number, inputs: number, outputs: number, context: InitContext) {
    super();
    this['1'] = new ConvModule(inputs, outputs, 1, context);
    this.#size = size;
  }

  forward(x: Tensor, mode: Mode): Tensor {
    return this['1'].forward(adaptiveAveragePool2d(x, this.#size), mode);
  }
}

/** mmsegmentation's FCNHead with one convolution. */
class AuxiliaryHead extends Module {
  readonly conv_seg: Classifier;
  readonly convs: readonly [ConvModule];

  constructor({ decoder, width, classes }: DecoderPlan, context: InitContext) {
    super();
    this.conv_seg = new Classifier(decoder.auxChannels, classes, context);
    this.convs = [new ConvModule(width, decoder.auxChannels, 3, context)];
  }

  features(map: Tensor, mode: Mode): Tensor {
    return this.convs[0].forward(map, mode);
  }
}

/**
 * UperNet on the taps of a backbone: tokens [B, 4 N, D] of four taps -> logits. In evaluation [B, classes, h, w], in training
 * the logits of both heads, see `packedSizes`: [B, classes, h w + h' w'].
 */
export class UperNet extends Layer {
  readonly neck: Neck;
  readonly decode_head: UPerHead;
  readonly auxiliary_head: AuxiliaryHead;
  readonly #plan: DecoderPlan;

  constructor(plan: DecoderPlan, context: InitContext) {
    super();
    this.neck = makeNeck(plan.decoder.neck, plan.width, context);
    this.decode_head = new UPerHead(plan, context);
    this.auxiliary_head = new AuxiliaryHead(plan, context);
    this.#plan = plan;
  }

  forward(state: Tensor, pass: Pass): Tensor {
    const { auxTap, dropout } = this.#plan.decoder;
    const { patchSize } = this.#plan;
    const maps = this.neck.forward(tapMaps(state, { patchSize, size: pass.size }), pass);
    const drop = channelDropout(dropout, pass);
    const logits = this.decode_head.conv_seg.forward(drop(this.decode_head.features(maps, pass)));
    if (!pass.training) return logits;
    const auxiliary = drop(this.auxiliary_head.features(maps[auxTap], pass));
    return packed([logits, this.auxiliary_head.conv_seg.forward(auxiliary)]);
  }
}

/** Sizes of the logits of the decoder and of the auxiliary head, for images of this size. */
export function packedSizes({ decoder, patchSize }: PatchDecoder, image: Size): Size[] {
  const grid: Size = [image[0] / patchSize, image[1] / patchSize];
  return [mapSize(grid, 0), mapSize(grid, decoder.auxTap)];
}

/** Maps [B, C, h, w] of several sizes as one tensor [B, C, sum of h w]. */
function packed(maps: readonly Tensor[]): Tensor {
  return concat(
    maps.map((map) => reshape(map, [map.shape[0], map.shape[1], -1])),
    2,
  );
}

/** The maps that were packed. */
export function unpacked(x: Tensor, sizes: readonly Size[]): Tensor[] {
  let end = 0;
  return sizes.map(([height, width]) => {
    end += height * width;
    return reshape(slice(x, 2, end - height * width, end), [x.shape[0], x.shape[1], height, width]);
  });
}

/** Drops whole channels [B, C, ...] with probability `rate` in training, and scales the others by 1 / (1 - rate). */
function channelDropout(rate: number, pass: Pass): (x: Tensor) => Tensor {
  if (!pass.training || rate === 0) return (x) => x;
  const generator = pass.generator.seed([...pass.key, 'dropout']);
  return (x) => {
    const mask = bernoulli(
      [x.shape[0], x.shape[1], 1, 1],
      1 - rate,
      generator,
      x.dtype === 'F64' ? 'F64' : 'F32',
    );
    return mul(x, upload(mul(mask, 1 / (1 - rate)), x.device));
  };
}

function resizedTo(x: Tensor, { shape: [, , height, width] }: Tensor): Tensor {
  return resizeBilinear(x, [height, width]);
}

/** Four maps of one size [B, D, h, w] -> maps of 4, 2, 1 and 1/2 times that size, with D channels. */
interface Neck extends Module {
  forward(maps: readonly Tensor[], mode: Mode): Tensor[];
}

function makeNeck(neck: UperNetConfig['neck'], width: number, context: InitContext): Neck {
  return neck === 'multilevel' ? new MultiLevelNeck(width, context) : new DeconvNeck(width, context);
}

/** mmsegmentation's MultiLevelNeck: 1x1 convolution, bilinear resize, 3x3 convolution for each map. */
class MultiLevelNeck extends Module implements Neck {
  readonly lateral_convs: readonly PlainConv[];
  readonly convs: readonly PlainConv[];

  constructor(width: number, context: InitContext) {
    super();
    this.lateral_convs = NECK_SCALES.map(() => new PlainConv(width, width, 1, context));
    this.convs = NECK_SCALES.map(() => new PlainConv(width, width, 3, context));
  }

  forward(maps: readonly Tensor[]): Tensor[] {
    return maps.map((map, i) => {
      const lateral = this.lateral_convs[i].forward(map);
      const [, , height, width] = map.shape;
      return this.convs[i].forward(
        resizeBilinear(lateral, mapSize([height, width], i), { factor: NECK_SCALES[i] }),
      );
    });
  }
}

/** BEiT's neck: transposed convolutions for the finer maps, max pooling for the coarser one. */
class DeconvNeck extends Module implements Neck {
  readonly upsample_4x: readonly [UpConv, BatchNorm2d, Gelu, UpConv];
  readonly upsample_2x: readonly [UpConv];

  constructor(width: number, context: InitContext) {
    super();
    const up = () => new UpConv(width, context);
    this.upsample_4x = [up(), new BatchNorm2d(width, context), new Gelu(), up()];
    this.upsample_2x = [up()];
  }

  forward([first, second, third, fourth]: readonly Tensor[], mode: Mode): Tensor[] {
    const [up, norm, gelu, again] = this.upsample_4x;
    const fine = again.forward(gelu.forward(norm.forward(up.forward(first), mode)));
    return [fine, this.upsample_2x[0].forward(second), third, halvedByMax(fourth)];
  }
}
