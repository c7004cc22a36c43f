import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, expect, test } from 'vitest';
import { maxDifference } from '../../../test/support.js';
import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import type { TensorData } from '../../base/tensor-data.js';
import { assemble } from '../../method/assemble.js';
import { writeOnnx } from '../../onnx/write.js';
import { noGrad } from '../../torch/autograd.js';
import { resizeBilinear } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { scope } from '../../torch/scope.js';
import { fromData } from '../../torch/tensor.js';
import type { UperNetConfig } from '../dense/decoder-config.js';
import type { VitConfig } from './config.js';
import { vitGraph } from './onnx-graph.js';
import { vit } from './vit.js';

const folder = mkdtempSync(join(tmpdir(), 'onnx-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'upernet.onnx');

const DECODER: UperNetConfig = {
  neck: 'multilevel',
  taps: [0, 1, 2, 3],
  channels: 8,
  auxTap: 3,
  auxChannels: 4,
  dropout: 0.1,
};

const TINY: VitConfig = {
  imageSize: 28,
  patchSize: 4,
  channels: 3,
  classes: 5,
  width: 16,
  depth: 4,
  heads: 2,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
  decoder: DECODER,
};

function floats(shape: readonly number[], key: string, [from, to]: readonly [number, number]): TensorData {
  const stream = randomStream([key]);
  const length = shape.reduce((a, b) => a * b, 1);
  const data = Float32Array.from({ length }, () => from + (to - from) * stream.uniform());
  return { dtype: 'F32', shape, data: new Uint8Array(data.buffer) };
}

/** A model with random weights and batch-norm statistics. */
function modelOf(config: VitConfig) {
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator() } as const;
  const [stage] = assemble(vit(config), [config.depth], null, context).stages;
  const weights = new Map<string, TensorData>([
    ...Array.from(stage.namedParameters(), ([name, { shape }]) => {
      return [name, floats(shape, name, [-0.5, 0.5])] as const;
    }),
    ...Array.from(stage.namedBuffers(), ([name, tensor]) => {
      if (tensor.dtype !== 'F32') return [name, scope(() => tensor.toData())] as const;
      return [name, floats(tensor.shape, name, name.endsWith('var') ? [0.5, 2] : [-0.5, 0.5])] as const;
    }),
  ]);
  const model = assemble(vit(config), [config.depth], [{ weights, source: 'test' }], context);
  const pass = { training: false, generator: context.generator, key: [] };
  const logits = (images: TensorData) =>
    scope(() =>
      noGrad(() => {
        const { imageSize } = config;
        return [
          ...resizeBilinear(model.forward(fromData(images), pass), [imageSize, imageSize]).toFloat32Array(),
        ];
      }),
    );
  return { weights, logits };
}

/** The grid has 7, 6, 12 or 1 patches a side: sides that pooling to 1, 2, 3 and 6 and halving do or do not divide. */
test.each<[string, Partial<VitConfig>]>([
  ['multilevel neck, 7 patches a side', {}],
  ['multilevel neck, 12 patches a side', { imageSize: 48 }],
  ['deconv neck', { decoder: { ...DECODER, neck: 'deconv', auxTap: 2 } }],
  [
    'deconv neck, 6 patches a side, no class token',
    { imageSize: 24, classToken: false, decoder: { ...DECODER, neck: 'deconv' } },
  ],
  [
    'a block tapped twice, registers',
    { decoder: { ...DECODER, taps: [0, 2, 2, 3] }, registers: 2, noEmbedClass: true },
  ],
])('onnxruntime labels pixels as our model: %s', async (_, changes) => {
  const config = { ...TINY, ...changes };
  const { imageSize, classes } = config;
  const { weights, logits } = modelOf(config);
  const graph = vitGraph(config, weights, 'test');
  writeOnnx(path, { graph, producer: { name: 'test', version: '1' }, metadata: {} });
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1 });
  for (const batch of [1, 3]) {
    const images = floats([batch, 3, imageSize, imageSize], `images ${batch}`, [-2, 2]);
    const pixels = new Tensor('float32', new Float32Array(images.data.slice().buffer), [...images.shape]);
    const theirs = (await session.run({ pixels })).logits;
    expect(theirs.dims).toEqual([batch, classes, imageSize, imageSize]);
    const ours = logits(images);
    const largest = Math.max(...ours.map(Math.abs));
    expect(largest).toBeGreaterThan(0.1);
    expect(maxDifference([...(theirs.data as Float32Array)], ours) / Math.max(1, largest)).toBeLessThan(1e-5);
  }
  await session.release();
});

test('a model that finds objects is refused', () => {
  const detector = { taps: [0, 1, 2, 3], window: 7, channels: 8, hidden: 8, anchorSize: 8 };
  const { decoder: _, ...config } = TINY;
  expect(() => vitGraph({ ...config, detector }, new Map(), 'runs/a/FT')).toThrow(InputError);
  expect(() => vitGraph({ ...config, detector }, new Map(), 'runs/a/FT')).toThrow(/finds objects/);
});
