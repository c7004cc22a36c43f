import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { PixelProgram } from '../src/data/transforms/pixels.js';
import { runProgram } from '../src/data/transforms/run-program.js';
import { evalShorterSide, evalTransform } from '../src/data/transforms/transform.js';
import type { ForeignLayout } from '../src/models/layout.js';
import { vitFamily } from '../src/models/vit/family.js';
import { usageOf } from '../src/report/model-card.js';
import { huggingFaceProcessor } from '../src/weights/layout/layout-processor.js';
import { needs, pythonPath, pythonTorch } from './needs.js';
import { digestOf, imageOf } from './pixel-images.js';

interface Case {
  readonly from: readonly [width: number, height: number];
  readonly size: number;
  readonly shorter: number;
  /** A digest of the bytes. */
  readonly pixels: string;
}

/** Digests from test/fixtures/make-docs-pixels.py. */
const text = readFileSync('test/fixtures/docs-pixels.json', 'utf8');
const fixture: {
  code: { export: string; evaluate: string };
  export: (Case & { channels: 1 | 3 })[];
  evaluate: Case[];
  processor: Case[];
  configs: { size: number; shorter: number; config: Record<string, unknown> }[];
} = JSON.parse(text);

const MEAN = [0.485, 0.456, 0.406];
const STD = [0.229, 0.224, 0.225];
const nameOf = ({ from, size, shorter }: Case) => `${from.join(' x ')}, to ${shorter}, ${size} cut out`;

/** The pixels that `eval` passes to the model. */
function evalProgram({ from: [width, height], size, shorter }: Case, channels: 1 | 3): PixelProgram {
  const crop = size / shorter;
  expect(evalShorterSide(size, crop)).toBe(shorter);
  return evalTransform(size, crop)({ width, height, channels });
}

function digestAfter({ from }: Case, channels: 1 | 3, program: PixelProgram): string {
  return digestOf(runProgram(imageOf('noise', ...from, channels), program));
}

/** The only block of Python on a page that contains this word. */
function snippet(page: string, word: string): string {
  const blocks = [...readFileSync(`docs/${page}`, 'utf8').matchAll(/```python\n(.*?)```/gs)];
  const found = blocks.map(([, code]) => code).filter((code) => code.includes(word));
  expect(found).toHaveLength(1);
  return found[0];
}

test('the Python of the pages is the code whose pixels are compared; otherwise run make-docs-pixels.py', () => {
  const digest = (code: string) => createHash('sha256').update(code).digest('hex');
  expect({
    export: digest(snippet('export.md', 'onnxruntime')),
    evaluate: digest(snippet('evaluate.md', 'transforms.Compose')),
  }).toEqual(fixture.code);
});

describe("eval's pixels, byte for byte", () => {
  test.each(fixture.export.map((each) => [`${nameOf(each)}, ${each.channels} channels`, each] as const))(
    'export.md: %s',
    (_, each) => {
      expect(digestAfter(each, each.channels, evalProgram(each, each.channels))).toBe(each.pixels);
    },
  );

  test.each(fixture.evaluate.map((each) => [nameOf(each), each] as const))('evaluate.md: %s', (_, each) => {
    expect(digestAfter(each, 3, evalProgram(each, 3))).toBe(each.pixels);
  });
});

describe("transformers' processor", () => {
  test.each(fixture.configs)('is configured as convert writes it: $size of $shorter', (each) => {
    const { size: imageSize, shorter: shorterSide, config } = each;
    const pixels = { mean: MEAN, std: STD, shorterSide };
    expect(huggingFaceProcessor({ channels: 3, imageSize }, pixels)).toEqual(config);
  });

  test.each(fixture.processor.map((each) => [nameOf(each), each] as const))(
    'has the pixels of eval, but for a crop whose offsets are rounded down: %s',
    (_, each) => {
      const program = evalProgram(each, 3).map((step) => {
        if (step.op !== 'crop') return step;
        const { left, top } = flooredOffsets(each);
        return { op: 'crop', box: { ...step.box, left, top } } as const;
      });
      expect(digestAfter(each, 3, program)).toBe(each.pixels);
    },
  );

  function flooredOffsets({ from, size, shorter }: Case) {
    const short = Math.min(...from);
    const [left, top] = from.map((side) => Math.floor((Math.trunc((shorter * side) / short) - size) / 2));
    return { left, top };
  }
});

test('a model card makes the pixels as evaluate.md does', () => {
  const config = {
    imageSize: 224,
    patchSize: 16,
    channels: 3,
    classes: 10,
    width: 192,
    depth: 12,
    heads: 3,
    mlpRatio: 4,
    qkvBias: true,
    layerNormEps: 1e-6,
    classToken: true,
  };
  const steps = (code: string) => /transforms\.Compose\(\[\n(.*?)\n\]\)\(image\)\[None\]/s.exec(code)?.[1];
  const wanted = steps(snippet('evaluate.md', 'transforms.Compose'))?.replaceAll(' ', '');
  expect(wanted).toContain('CenterCrop');
  for (const layout of vitFamily.layouts as readonly ForeignLayout[]) {
    if (layout.usage === undefined) continue;
    const card = usageOf({ layout, config, mean: MEAN, std: STD });
    expect(steps(card)?.replaceAll(' ', '')).toBe(wanted);
    expect(card).toContain("Image.open('picture.jpg').convert('RGB')");
  }
});

test('the Python of the pages gives these pixels when it is run', needs(pythonTorch), () => {
  const args = ['test/fixtures/make-docs-pixels.py', '--print'];
  const output = execFileSync(pythonPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  expect(JSON.parse(output)).toEqual(fixture);
});
