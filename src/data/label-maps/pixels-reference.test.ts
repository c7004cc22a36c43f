import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Planes, resizeBilinearBox, resizedWhole, resizeNearestBox } from './resize.js';
import { type Distortion, distort } from './train-transform.js';

// Against OpenCV and mmsegmentation's operations (test/fixtures/make-label-maps.py): byte for byte.

const fixture = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/label-maps.json', import.meta.url), 'utf8'),
) as {
  resize: (Record<'image' | 'labels' | 'resized' | 'nearest', string> &
    Record<'size' | 'to', readonly [number, number]>)[];
  levels: number[];
  distortions: { step: Distortion[number]; sha256: string }[];
};

const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));
const planes = (channels: number, [height, width]: readonly number[], text: string): Planes => ({
  channels,
  height,
  width,
  data: bytes(text),
});

test.each(fixture.resize)('$size resized to $to', ({ size, to, image, labels, resized, nearest }) => {
  const [height, width] = to;
  const whole = { left: 0, top: 0, height, width };
  expect(resizedWhole(planes(3, size, image), { height, width }).data).toEqual(bytes(resized));
  expect(resizeNearestBox(planes(1, size, labels), { height, width }, whole).data).toEqual(bytes(nearest));

  // A box is the same pixels as of the whole image.
  const box = {
    left: 1,
    top: height > 2 ? 2 : 0,
    width: width - 2,
    height: height > 2 ? height - 2 : height,
  };
  const part = resizeBilinearBox(planes(3, size, image), { height, width }, box);
  const all = bytes(resized);
  for (let y = 0; y < box.height; y++) {
    for (let x = 0; x < box.width; x++) {
      const at = (height + box.top + y) * width + box.left + x;
      expect(part.data[(box.height + y) * box.width + x]).toBe(all[at]);
    }
  }
});

test.each(fixture.distortions)('$step', ({ step, sha256 }) => {
  const { levels } = fixture;
  const count = levels.length;
  const data = new Uint8Array(3 * count ** 3);
  for (let i = 0; i < count ** 3; i++) {
    for (const [channel, unit] of [count ** 2, count, 1].entries())
      data[channel * count ** 3 + i] = levels[Math.floor(i / unit) % count];
  }
  distort({ channels: 3, height: count ** 2, width: count, data }, [step]);
  expect(createHash('sha256').update(data).digest('hex')).toBe(sha256);
});
