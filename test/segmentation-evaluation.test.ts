import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { areaSums, classOverlaps, summarizeAreas } from '../src/tasks/segmentation/metrics.js';
import { predictedLabels } from '../src/tasks/segmentation/segmentation.js';
import { logitsOfViews, slidingLogits, wholeLogits } from '../src/tasks/segmentation/views.js';
import { conv2d, relu, softmax } from '../src/torch/ops.js';
import { scope } from '../src/torch/scope.js';
import { fromArray, fromData, type Tensor } from '../src/torch/tensor.js';
import { readSafetensors } from '../src/weights/safetensors/safetensors.js';

// Whole, sliding and flipped inference and IoUMetric of mmsegmentation 1.2.2 (fixtures/make-segmentation-evaluation.py).
const fixture = readSafetensors(
  fileURLToPath(new URL('fixtures/segmentation-evaluation.safetensors', import.meta.url)),
).tensors;

const PATCH = 4;
const SLIDING = { window: 12, stride: 8 };

const data = (name: string) => {
  const found = fixture.get(name);
  if (found === undefined) throw new RangeError(`the fixture has no ${name}`);
  return found;
};
const tensor = (name: string) => fromData(data(name));
const floats = ({ data: bytes }: { data: Uint8Array }) =>
  new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);

/** The fixture's model: one convolution per patch, and a classifier. */
function forward(input: Tensor): Tensor {
  return scope(() => {
    const features = relu(
      conv2d(input, tensor('weights.backbone.conv.weight'), tensor('weights.backbone.conv.bias'), {
        stride: PATCH,
      }),
    );
    return conv2d(
      features,
      tensor('weights.decode_head.conv_seg.weight'),
      tensor('weights.decode_head.conv_seg.bias'),
    );
  });
}

function expectClose(actual: Tensor, name: string): void {
  const [ours, theirs] = [floats(actual.toData()), floats(data(name))];
  expect(ours.length).toBe(theirs.length);
  for (const [i, value] of ours.entries()) expect(Math.abs(value - theirs[i])).toBeLessThan(1e-5);
}

describe.each(['odd', 'resized', 'flipped', 'resized-flipped', 'low'])('an image, %s', (name) => {
  const size = (kind: string): [number, number] => {
    const [, height, width] = data(`${name}.${kind}`).shape;
    return [height, width];
  };
  const isFlipped = name.endsWith('flipped');

  test('in one pass', () =>
    scope(() => {
      const views = [{ image: tensor(`${name}.image`), isFlipped }];
      const whole = (image: Tensor) => wholeLogits(image, forward, PATCH);
      expectClose(logitsOfViews(views, whole, size('whole')), `${name}.whole`);
    }));

  test('with a sliding window', () =>
    scope(() => {
      const views = [{ image: tensor(`${name}.image`), isFlipped }];
      const slide = (image: Tensor) => slidingLogits(image, forward, PATCH, SLIDING);
      expectClose(logitsOfViews(views, slide, size('slide')), `${name}.slide`);
    }));
});

test('several scales, flipped or not: the mean of the probabilities', () =>
  scope(() => {
    const views = [false, true, false, true, true].map((isFlipped, i) => ({
      image: tensor(`views.${i}.image`),
      isFlipped,
    }));
    const logits = logitsOfViews(views, (image) => wholeLogits(image, forward, PATCH), [23, 30]);
    expectClose(softmax(logits, 1), 'views.probabilities');
    const theirs = data('views.prediction').data;
    expect([...predictedLabels(logits)]).toEqual(
      Array.from(
        new BigInt64Array(theirs.buffer.slice(theirs.byteOffset, theirs.byteOffset + theirs.byteLength)),
        Number,
      ),
    );
  }));

test('several views of which one excludes a class: the loss stays finite', () =>
  scope(() => {
    // Probabilities of exp(-200) are 0 in float32.
    const views = [0, -200, -200].map((logit) => ({
      image: fromArray(Float32Array.of(0, logit), [1, 2, 1, 1]),
      isFlipped: false,
    }));
    const [first, second] = logitsOfViews(views.slice(1), (logits) => logits, [1, 1]).toFloat32Array();
    expect([first, second]).toEqual([0, -200]);
    const [, mixed] = logitsOfViews(views, (logits) => logits, [1, 1]).toFloat32Array();
    expect(mixed).toBeCloseTo(Math.log(0.5 / 3), 6);
  }));

describe('the metric', () => {
  const CLASSES = 6;
  const sums = [0, 1, 2]
    .map((i) => areaSums(data(`metric.${i}.predicted`).data, data(`metric.${i}.label`).data, CLASSES))
    .reduce((a, b) => {
      const summed = Object.keys(a).map((key) => [key, a[key] + b[key]]);
      return { loss: 0, ...Object.fromEntries(summed) };
    });

  test('of each class; undefined where mmsegmentation has NaN', () => {
    const classes = classOverlaps(sums, CLASSES);
    const [iou, acc] = [floats(data('metric.IoU')), floats(data('metric.Acc'))];
    for (const [i, each] of classes.entries()) {
      expect([Math.fround(each.iou / 100), Math.fround(each.acc / 100)]).toEqual([iou[i], acc[i]]);
    }
    expect(classes[3].acc).toBeNaN();
    expect(classes[3].iou).toBe(0);
    expect(classes[5].iou).toBeNaN();
  });

  test('of all classes', () => {
    const { miou, macc, aacc } = summarizeAreas(sums, CLASSES);
    const nanMean = (name: string) => {
      const defined = [...floats(data(name))].filter((value) => !Number.isNaN(value));
      return defined.reduce((sum, value) => sum + value, 0) / defined.length;
    };
    expect(miou / 100).toBeCloseTo(nanMean('metric.IoU'), 6);
    expect(macc / 100).toBeCloseTo(nanMean('metric.Acc'), 6);
    expect(aacc / 100).toBeCloseTo(floats(data('metric.aAcc'))[0], 6);
  });
});
