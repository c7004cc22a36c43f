import { crc32, deflateSync } from 'node:zlib';
import { FASHION_MNIST_CLASSES } from '../src/data/formats/idx.js';
import { writeConfusion } from '../src/run/confusion.js';
import type { EvalRecord } from '../src/run/records.js';
import { runFolder } from '../src/run/run-folder.js';
import { type SampleImage, writeSamples } from '../src/run/samples.js';

const SIDE = 28;
const SHOWN = 8;

/** Writes the confusion matrix and images of an evaluation with this record. */
export function writeEvaluatedImages(
  root: string,
  record: EvalRecord,
  names: readonly string[] = FASHION_MNIST_CLASSES,
): void {
  const folder = runFolder(root).phase(record.phase);
  const counts = countsOf(Number(record.top1) / 100, names.length);
  writeConfusion(folder.confusion, { step: record.step, classes: names.length, names, counts });
  const known = (label: number) => ({ label, name: names[label] });
  const wrong = counts.filter(([a, b]) => a !== b).sort((a, b) => b[2] - a[2]);
  const evaluated = Array.from({ length: SHOWN }, (_, i): SampleImage => {
    const [target, taken] = i < SHOWN - 2 ? wrong[i % wrong.length] : [i, i];
    const others = [1, 2].map((by) => (taken + by) % names.length);
    const first = i < SHOWN - 2 ? 0.93 - 0.06 * i : 0.48 + 0.02 * i;
    return {
      index: 100 + i,
      file: `/data/val/image-${i}.png`,
      targets: [{ ...known(target), weight: 1 }],
      predictions: [taken, ...others].map((label, k) => ({
        ...known(label),
        probability: [first, (1 - first) * 0.7, (1 - first) * 0.2][k],
      })),
    };
  });
  const trained = Array.from(
    { length: SHOWN },
    (_, i): SampleImage => ({
      index: i,
      file: `/data/train/image-${i}.png`,
      targets: [
        { ...known(i % names.length), weight: 0.7 },
        { ...known((SHOWN - i) % names.length), weight: 0.3 },
      ],
    }),
  );
  const size = { width: SIDE, height: SIDE };
  writeSamples(folder.samples, 'eval', { step: record.step, ...size, images: evaluated }, pixelStrip(3));
  writeSamples(folder.samples, 'train', { step: 0, ...size, images: trained }, pixelStrip(5));
}

/** Counts whose mean is `top1`: neighbours are confused most, and some classes are harder. */
function countsOf(top1: number, classes: number): [number, number, number][] {
  const IMAGES = 1000;
  return Array.from({ length: classes }, (_, target) => {
    const harder = Math.min(
      IMAGES,
      Math.round(IMAGES * (1 - top1) * (0.4 + (1.2 * ((target * 7) % classes)) / classes)),
    );
    const shares = [0.5, 0.3, 0.2].map((share, i) => ({
      prediction: (target + [2, 1, 4][i]) % classes,
      images: Math.round(harder * share),
    }));
    const missed = shares.reduce((sum, { images }) => sum + images, 0);
    return [
      [target, target, IMAGES - missed],
      ...shares.map(({ prediction, images }) => [target, prediction, images]),
    ].filter(([, , images]) => images > 0) as [number, number, number][];
  }).flat();
}

/** A grey PNG of eight images with simple shapes. */
function pixelStrip(kind: number): Uint8Array {
  const width = SHOWN * SIDE;
  const raw = Buffer.alloc(SIDE * (width + 1));
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < width; x++) {
      const [slot, at] = [Math.floor(x / SIDE), x % SIDE];
      const from = Math.hypot(at - 14, (y - 14) * (1 + 0.12 * (slot % kind)));
      raw[y * (width + 1) + 1 + x] = from < 11 ? 70 + 18 * slot + 4 * (at % (2 + slot)) : 0;
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(SIDE, 4);
  head.set([8, 0, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(raw)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}
