import { describe, expect, test } from 'vitest';
import { assemble } from '../../method/assemble.js';
import { backward } from '../../torch/autograd.js';
import { inPrecision } from '../../torch/precision.js';
import { Generator } from '../../torch/random.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { buildStage } from '../staged.js';
import type { VitConfig } from '../vit/config.js';
import { vitFamily } from '../vit/family.js';
import { VIT_PRESETS, vitConfigOf, vitSection } from '../vit/section.js';
import { vit } from '../vit/vit.js';
import { totalLoss, unpackedObjects } from './detector.js';
import type { DetectorTarget } from './detector-config.js';

const config: VitConfig = {
  imageSize: 64,
  patchSize: 8,
  channels: 3,
  classes: 3,
  width: 32,
  depth: 8,
  heads: 2,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: false,
  layerScale: 1,
  detector: { taps: [1, 3, 5, 7], window: 3, channels: 8, hidden: 16, anchorSize: 16 },
};
const context = () =>
  ({ device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) }) as const;
const pixels = (height: number, width: number) => {
  const values = Float32Array.from({ length: 2 * 3 * height * width }, (_, i) => Math.sin(i / 7));
  return fromArray(values, [2, 3, height, width]);
};
const truth = (height: number, width: number) => ({
  width,
  height,
  boxes: Float32Array.of(4, 6, 30, 40),
  classes: [1],
  masks: [[[4, 6, 30, 6, 30, 40, 4, 40]]],
});
const target = (height: number, width: number): DetectorTarget => ({
  images: [truth(height, width), truth(height - 4, width - 9)],
  samples: { anchors: 64, regions: 32 },
  proposals: { train: { perMap: 50, perImage: 40 }, eval: { perMap: 50, perImage: 40 } },
  limits: { score: 0.01, overlap: 0.5, objects: 5 },
});
const pass = (training: boolean, of: DetectorTarget) => ({
  training,
  generator: new Generator(),
  key: ['step', 0],
  target: of,
});

describe('a vision transformer with Mask R-CNN', () => {
  test('its loss trains every parameter, on images that are not square', () => {
    scope(() => {
      const model = assemble(vit(config), [2, 6], null, context());
      const loss = totalLoss(model.forward(pixels(48, 80), pass(true, target(48, 80))));
      expect(Number.isFinite(loss.item())).toBe(true);
      backward(loss);
      for (const [name, { grad }] of model.namedParameters()) {
        expect(grad?.toFloat32Array().every(Number.isFinite), name).toBe(true);
      }
    });
  });

  test('a meta model of one block per stage is trained, too', () => {
    scope(() => {
      const model = assemble(vit(config), [1, 1], null, context(), { target: [4, 4] });
      const loss = totalLoss(model.forward(pixels(48, 80), pass(true, target(48, 80))));
      expect(Number.isFinite(loss.item())).toBe(true);
    });
  });

  test('in bfloat16, the loss is close to that in float32', () => {
    scope(() => {
      const model = assemble(vit(config), [8], null, context());
      const run = () => totalLoss(model.forward(pixels(48, 80), pass(true, target(48, 80))));
      const [full, half] = [run().item(), inPrecision('bfloat16', 'cpu', run).item()];
      expect(half).not.toBe(full);
      expect(Math.abs(half / full - 1)).toBeLessThan(0.05);
    });
  });

  test('in evaluation it returns the losses and the objects of each image', () => {
    scope(() => {
      const model = assemble(vit(config), [8], null, context());
      const output = model.forward(pixels(64, 64), pass(false, target(64, 64)));
      const found = unpackedObjects(output, 2);
      expect(totalLoss(output).item()).toBeGreaterThan(0);
      expect(found.map(({ length }) => length)).toEqual([5, 5]);
      for (const { box, mask, class: name } of found.flat()) {
        expect(mask).toHaveLength(28 ** 2);
        expect([0, 1, 2]).toContain(name);
        expect([...box].every((side) => side >= 0 && side <= 64)).toBe(true);
      }
    });
  });

  test('the cost names every parameter of the head with its size', () => {
    const blueprint = vit(config);
    const head = buildStage(blueprint, { depths: [8] }, 0, context()).head;
    const sizes = (tensor: Tensor) => tensor.shape.reduce((a, b) => a * b, 1);
    const real = Array.from(head?.namedParameters() ?? [], ([name, each]) => [name, sizes(each)]);
    const planned = Object.entries(blueprint.cost.head.tensors ?? {}).map(([name, { parameters }]) => [
      name,
      parameters,
    ]);
    expect(planned.sort()).toEqual(real.sort());
  });

  test('windows cost less than global attention', () => {
    const { cost } = vit(config);
    expect(cost.block({ from: 0, to: 1 }).macs).toBeLessThan(cost.block({ from: 1, to: 2 }).macs);
  });
});

test('weights of a classifier: the class token is left out, LayerScale is added, patches and positions are resized', () => {
  const { detector: _, layerScale: __, ...rest } = config;
  const given = { ...rest, imageSize: 56, patchSize: 14, classToken: true };
  const stages = scope(() =>
    assemble(vit(given), [4, 4], null, context()).stages.map(
      (stage) => new Map(Array.from(stage.namedParameters(), ([name, each]) => [name, each.toData()])),
    ),
  );
  const [stem] = stages;
  const { stages: bare } = vitFamily.newHead(config, stages);
  const fit = vitFamily.fit(bare, config, 'the file');
  expect(fit.note).toBe(
    'class token left out; position embedding of 56 px images in patches of 14, resized for 64 px; ' +
      'patch embedding of 14 px patches, resized to 8 px; LayerScale of 1 added',
  );
  const [first, last] = fit.stages;
  expect(first.has('cls_token')).toBe(false);
  expect(first.get('pos_embed')?.shape).toEqual([1, 64, 32]);
  expect(first.get('patch_embed.proj.weight')?.shape).toEqual([32, 3, 8, 8]);
  expect(first.get('blocks.3.ls2.gamma')?.shape).toEqual([32]);
  expect(last.has('head.weight')).toBe(false);
  expect(last.has('norm.weight')).toBe(false);
  expect(first.get('blocks.0.attn.qkv.weight')).toBe(stem.get('blocks.0.attn.qkv.weight'));
});

test.each([
  [{ class_token: false, width: 48 }, 'model.width 48 is not a multiple of 32'],
  [{ class_token: false, patch_size: 14, image_size: 56 }, 'model.patch_size 14 is not a multiple of 4'],
  [{ class_token: false, decoder: { kind: 'mask-rcnn', taps: [0, 1, 2] } }, 'model.decoder.taps [0, 1, 2]'],
])('%j is refused', (given, message) => {
  const { patch_size: _, ...preset } = VIT_PRESETS['vit-tiny'];
  const section = vitSection.parse({
    ...preset,
    patch_size: 16,
    image_size: 64,
    decoder: { kind: 'mask-rcnn' },
    ...given,
  });
  expect(() => vitConfigOf(section, 'r.yaml')).toThrow(message);
});
