import { BatchNorm2d } from '../../nn/convolutional.js';
import type { InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { halvedByMax, resizeBilinear } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import { Gelu, type Mode, PlainConv, UpConv } from './conv-module.js';
import { mapSize, NECK_SCALES, type UperNetConfig } from './decoder-config.js';

/** Four maps of one size [B, D, h, w] -> maps of 4, 2, 1 and 1/2 times that size, with D channels. */
export interface Neck extends Module {
  forward(maps: readonly Tensor[], mode: Mode): Tensor[];
}

export function makeNeck(neck: UperNetConfig['neck'], width: number, context: InitContext): Neck {
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
