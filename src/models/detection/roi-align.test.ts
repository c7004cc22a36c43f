import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { maxDifference, numbers } from '../../../test/support.js';
import type { TensorData } from '../../base/tensor-data.js';
import { decodeRle, encodeRle } from '../../data/coco/rle.js';
import { compressRle } from '../../data/coco/segmentation.js';
import { backward } from '../../torch/autograd.js';
import { mul, ones, select, slice, sum, to } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromData, type Tensor } from '../../torch/tensor.js';
import { readSafetensors } from '../../weights/safetensors/safetensors.js';
import { pasteMask } from './mask-paste.js';
import { maskTarget } from './mask-target.js';
import { pyramidRoiAlign, roiAlign } from './roi-align.js';

// What test/fixtures/make-detection.py has computed with torchvision and detectron2's rules.
const path = fileURLToPath(new URL('../../../test/fixtures/detection.safetensors', import.meta.url));
const { tensors } = readSafetensors(path);
const dataOf = (name: string) => tensors.get(name) as TensorData;
const listOf = (name: string) => numbers(dataOf(name));
const bytesOf = (name: string) => dataOf(name).data;

const regions = { boxes: Float32Array.from(listOf('align.boxes')), images: listOf('align.images') };
const featuresOf = (dtype: 'F32' | 'F64' | 'BF16' = 'F32') => {
  const features = to(fromData(dataOf('align.features')), { dtype });
  features.requiresGrad = true;
  return features;
};

describe('RoIAlign', () => {
  test("forward and backward are torchvision's", () => {
    scope(() => {
      const features = featuresOf();
      const aligned = roiAlign({ features, stride: 4 }, regions, 7);
      expect(aligned.shape).toEqual(dataOf('align.aligned').shape);
      expect(maxDifference(numbers(aligned.toData()), listOf('align.aligned'))).toBeLessThan(1e-6);
      backward(sum(mul(aligned, fromData(dataOf('align.upstream')))));
      const gradient = numbers((features.grad as Tensor).toData());
      const expected = listOf('align.gradient');
      const scale = Math.max(...expected.map(Math.abs));
      expect(maxDifference(gradient, expected) / scale).toBeLessThan(1e-6);
    });
  });

  test('of bfloat16 in float32, of float64 in float64', () => {
    scope(() => {
      const wide = roiAlign({ features: featuresOf('F64'), stride: 4 }, regions, 7);
      expect(wide.dtype).toBe('F64');
      expect(maxDifference(numbers(wide.toData()), listOf('align.aligned'))).toBeLessThan(1e-6);
      const narrow = roiAlign({ features: featuresOf('BF16'), stride: 4 }, regions, 7);
      expect(narrow.dtype).toBe('F32');
      expect(maxDifference(numbers(narrow.toData()), listOf('align.aligned'))).toBeLessThan(0.02);
    });
  });

  test('from several maps: each region from its own', () => {
    scope(() => {
      const features = featuresOf();
      const maps = [
        { features, stride: 4 },
        { features: slice(slice(features, 2, 0, undefined, 2), 3, 0, undefined, 2), stride: 8 },
      ];
      const levels = regions.images.map((_, i) => i % 2);
      const aligned = pyramidRoiAlign(maps, regions, 7, levels);
      for (const [level, map] of maps.entries()) {
        const alone = roiAlign(map, regions, 7);
        for (const i of levels.keys()) {
          if (levels[i] !== level) continue;
          const [a, b] = [aligned, alone].map((each) => numbers(select(each, 0, i).toData()));
          expect(maxDifference(a, b)).toBe(0);
        }
      }
    });
  });

  test('without regions: no rows', () => {
    const none = { boxes: new Float32Array(0), images: [] };
    expect(roiAlign({ features: ones([1, 3, 4, 4]), stride: 4 }, none, 7).shape).toEqual([0, 3, 7, 7]);
  });

  test('a region of an image that is not in the batch is refused', () => {
    const wrong = { boxes: Float32Array.of(0, 0, 8, 8), images: [2] };
    expect(() => roiAlign({ features: ones([2, 3, 4, 4]), stride: 4 }, wrong, 7)).toThrow(
      'region 0 is in image 2 of a batch of 2',
    );
  });
});

describe('masks', () => {
  test("are enlarged as detectron2's", () => {
    const [count, height, width] = dataOf('paste.masks').shape;
    const [probabilities, boxes] = ['paste.probabilities', 'paste.boxes'].map(listOf);
    let different = 0;
    for (let i = 0; i < count; i++) {
      const mask = Float32Array.from(probabilities.slice(i * 784, (i + 1) * 784));
      const pasted = pasteMask(mask, boxes.slice(4 * i, 4 * i + 4), { width, height });
      const expected = bytesOf('paste.masks').subarray(i * height * width, (i + 1) * height * width);
      expect(pasted.counts.reduce((a, b) => a + b, 0)).toBe(height * width);
      expect(encodeRle(decodeRle(pasted), height, width)).toEqual(pasted);
      for (const [j, value] of decodeRle(pasted).entries()) if (value !== expected[j]) different++;
    }
    expect(bytesOf('paste.masks').includes(1)).toBe(true);
    expect(different).toBe(0);
  });

  test.each<[number[], number]>([
    [[-20, -20, -10, -10], 0],
    [[60, 5, 70, 10], 0],
    [[-5, -5, 100, 100], 40 * 50],
  ])('in the box %j: %d pixels', (box, pixels) => {
    const pasted = pasteMask(new Float32Array(784).fill(1), box, { width: 50, height: 40 });
    expect(decodeRle(pasted).filter((each) => each === 1)).toHaveLength(pixels);
  });

  test("targets are detectron2's, of polygons and of bitmaps", () => {
    const [boxes, polygons] = ['target.boxes', 'target.polygons'].map(listOf);
    const [width, height] = [80, 80];
    for (let i = 0; i < dataOf('target.boxes').shape[0]; i++) {
      const box = boxes.slice(4 * i, 4 * i + 4);
      const shape = [0, 1].map((part) => polygons.slice(16 * i + 8 * part, 16 * i + 8 * part + 8));
      const options = { box, size: 28, image: { width, height } };
      const expected = (name: string) => [...bytesOf(name).subarray(784 * i, 784 * (i + 1))];
      expect([...maskTarget(shape, options)]).toEqual(expected('target.cropped'));
      const bitmap = maskTarget(shape, { box: [0, 0, 80, 80], size: 80, image: { width, height } });
      const rle = compressRle(encodeRle(bitmap, height, width));
      expect([...maskTarget(rle, options)]).toEqual(expected('target.averaged'));
    }
  });
});
