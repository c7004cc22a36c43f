import { BatchNorm2d, Conv2d, SameConv } from '../../nn/convolutional.js';
import { fanInParameter, type InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { gelu, relu, upConv2d } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';

/** How a layer of the decoder runs. */
export interface Mode {
  readonly training: boolean;
}

/** A convolution without bias that keeps the size, batch norm and ReLU; named as mmcv's ConvModule. */
export class ConvModule extends Module {
  readonly conv: Conv2d;
  readonly bn: BatchNorm2d;

  constructor(inputs: number, outputs: number, kernel: 1 | 3, context: InitContext) {
    super();
    this.conv = new Conv2d(inputs, outputs, { kernel, padding: (kernel - 1) / 2, bias: false }, context);
    this.bn = new BatchNorm2d(outputs, context);
  }

  forward(x: Tensor, mode: Mode): Tensor {
    return scope(() => relu(this.bn.forward(this.conv.forward(x), mode)));
  }
}

/** As mmcv's ConvModule without norm and activation; Xavier-initialised (Glorot and Bengio 2010, uniform). */
export class PlainConv extends Module {
  readonly conv: SameConv;

  constructor(inputs: number, outputs: number, kernel: 1 | 3, context: InitContext) {
    super();
    this.conv = new SameConv(inputs, outputs, { kernel, init: 'xavier' }, context);
  }

  forward(x: Tensor): Tensor {
    return this.conv.forward(x);
  }
}

/** Doubles height and width by a transposed convolution with PyTorch's initialisation. */
export class UpConv extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(width: number, context: InitContext) {
    super();
    const fan = 4 * width;
    this.weight = fanInParameter([width, width, 2, 2], fan, context);
    this.bias = fanInParameter([width], fan, context);
  }

  forward(x: Tensor): Tensor {
    return upConv2d(x, this.weight, this.bias);
  }
}

/** GELU, as a member of a list of layers. */
export class Gelu extends Module {
  forward(x: Tensor): Tensor {
    return gelu(x);
  }
}
