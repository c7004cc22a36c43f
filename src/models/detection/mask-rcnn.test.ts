import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, test } from 'vitest';
import { maxDifference, numbers } from '../../../test/support.js';
import type { TensorData } from '../../base/tensor-data.js';
import type { ObjectsInImage } from '../../data/objects.js';
import { loadWeights } from '../../nn/weights.js';
import { backward } from '../../torch/autograd.js';
import { add, ones } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { keep, scope } from '../../torch/scope.js';
import { fromData, type Tensor } from '../../torch/tensor.js';
import { readSafetensors } from '../../weights/safetensors/safetensors.js';
import { MaskRcnn, type MaskRcnnLosses } from './mask-rcnn.js';

// A step and the detections that test/fixtures/make-mask-rcnn.py has composed from torch and torchvision.
const path = fileURLToPath(new URL('../../../test/fixtures/mask-rcnn.safetensors', import.meta.url));
const { tensors } = readSafetensors(path);
const dataOf = (name: string) => tensors.get(name) as TensorData;
const listOf = (name: string) => numbers(dataOf(name));
const named = (prefix: string) =>
  new Map(
    [...tensors].flatMap(([name, data]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), data]] : [],
    ),
  );

const SIDES = [
  { height: 64, width: 96 },
  { height: 50, width: 90 },
];
const images = SIDES.map((sides, image): ObjectsInImage => {
  const polygons = listOf(`truth.${image}.polygons`);
  const classes = listOf(`truth.${image}.classes`);
  return {
    ...sides,
    boxes: Float32Array.from(listOf(`truth.${image}.boxes`)),
    classes,
    masks: classes.map((_, i) => [polygons.slice(8 * i, 8 * i + 8)]),
  };
});
/** All anchors and all regions are samples. */
const ALL = { key: [0, 'step', 0], anchorSamples: 10_000, regionSamples: 10_000 } as const;

const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
const sizes = { inputs: [6, 8, 8, 10], classes: 3, channels: 8, hidden: 12 };
let model: MaskRcnn;
let maps: Tensor[];

beforeEach(() => {
  model = new MaskRcnn(sizes, context);
  loadWeights(model, named('weight.'), path);
  maps = [...named('map.').keys()].sort().map((i) => {
    const map = keep(fromData(dataOf(`map.${i}`)));
    map.requiresGrad = true;
    return map;
  });
});

const total = ({ objectness, proposals, classes, boxes, masks }: MaskRcnnLosses) =>
  [proposals, classes, boxes, masks].reduce(add, objectness);

describe('a step on fixed maps', () => {
  test('losses and gradients are those of the independent composition', () => {
    scope(() => {
      const losses = model.losses(maps, images, ALL);
      for (const [name, loss] of Object.entries(losses)) {
        const expected = listOf(`loss.${name}`)[0];
        expect(Math.abs(loss.item() / expected - 1), name).toBeLessThan(1e-5);
      }
      backward(total(losses));
      const compared = [
        ...Array.from(model.namedParameters(), ([name, each]) => [each, `gradient.${name}`] as const),
        ...maps.map((each, i) => [each, `map-gradient.${i}`] as const),
      ];
      expect(compared).toHaveLength(46);
      for (const [tensor, name] of compared) {
        const expected = listOf(name);
        const scale = Math.max(...expected.map(Math.abs));
        expect(scale, name).toBeGreaterThan(0);
        const gradient = numbers((tensor.grad as Tensor).toData());
        expect(maxDifference(gradient, expected) / scale, name).toBeLessThan(1e-4);
      }
    });
  });

  test('with fewer samples, the step depends only on the key', () => {
    const lossOf = (key: string) =>
      scope(() =>
        total(model.losses(maps, images, { key: [key], anchorSamples: 32, regionSamples: 32 })).item(),
      );
    expect(lossOf('a')).toBe(lossOf('a'));
    expect(lossOf('a')).not.toBe(lossOf('b'));
  });

  test('without objects, every parameter has a gradient, and masks and boxes have none to learn', () => {
    scope(() => {
      const none = SIDES.map((sides) => ({ ...sides, boxes: new Float32Array(0), classes: [], masks: [] }));
      const losses = model.losses(maps, none, { key: [0] });
      expect([losses.proposals, losses.boxes, losses.masks].map((loss) => loss.item())).toEqual([0, 0, 0]);
      expect(losses.classes.item()).toBeGreaterThan(0);
      backward(total(losses));
      for (const [name, parameter] of model.namedParameters()) {
        const gradient = numbers((parameter.grad as Tensor).toData());
        expect(gradient.every(Number.isFinite), name).toBe(true);
        if (/mask|offsets/.test(name)) expect(Math.max(...gradient.map(Math.abs)), name).toBe(0);
      }
    });
  });
});

test.each([0, 1])(
  'image %d: the objects that are found are those of the independent composition',
  (image) => {
    scope(() => {
      const found = model.detect(maps, SIDES)[image];
      expect(found.map((each) => each.class)).toEqual(listOf(`found.${image}.classes`));
      const scores = found.map(({ score }) => score);
      expect(maxDifference(scores, listOf(`found.${image}.scores`))).toBeLessThan(1e-5);
      const boxes = found.flatMap(({ box }) => [...box]);
      expect(maxDifference(boxes, listOf(`found.${image}.boxes`))).toBeLessThan(1e-3);
      const masks = found.slice(0, 5).flatMap(({ mask }) => [...mask]);
      expect(maxDifference(masks, listOf(`found.${image}.masks`))).toBeLessThan(1e-4);
    });
  },
);

test('an image in which nothing is found', () => {
  scope(() => {
    const blank = maps.map(({ shape }) => ones(shape));
    const untrained = new MaskRcnn({ ...sizes, classes: 40 }, context);
    expect(untrained.detect(blank, SIDES)).toEqual([[], []]);
  });
});
