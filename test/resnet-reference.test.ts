import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import type { Batch } from '../src/data/dataset.js';
import { assemble } from '../src/method/assemble.js';
import { divide, metaDepths } from '../src/method/divide.js';
import { hybrid } from '../src/method/hybrid.js';
import { resnet } from '../src/models/resnet/resnet.js';
import type { StagedModel } from '../src/models/staged.js';
import { weightsOf } from '../src/nn/weights.js';
import { classification } from '../src/tasks/classification/classification.js';
import { noGrad } from '../src/torch/autograd.js';
import { Generator } from '../src/torch/random.js';
import { scope } from '../src/torch/scope.js';
import { sgd } from '../src/training/optimizers/sgd.js';
import { train } from '../src/training/trainer.js';
import { readSafetensors } from '../src/weights/safetensors/safetensors.js';
import { needs, pythonPath, pythonTorch } from './needs.js';
import { maxDifference } from './support.js';

// Against ResNets in plain PyTorch (fixtures/make-resnet.py): ResNet-20 of a quarter of the width from committed numbers,
// ResNet-110 from numbers that are generated during the test.

type DType = 'F32' | 'F64';
type Shortcut = 'A' | 'B';
type Cases = Record<'blocks' | 'width' | 'size', number> &
  Record<`${Shortcut}.fp${32 | 64}`, { losses: number[]; hybrid_losses: number[] }>;

const fixtures = fileURLToPath(new URL('fixtures', import.meta.url));
const cases = [
  ['A', 'F32'],
  ['A', 'F64'],
  ['B', 'F32'],
  ['B', 'F64'],
] as const;

describe('ResNet-20', () => compare(cases, () => fixtures));

describe('ResNet-110', needs(pythonTorch), () => {
  const folder = mkdtempSync(join(tmpdir(), 'resnet-'));
  beforeAll(() => {
    const script = join(fixtures, 'make-resnet.py');
    execFileSync(pythonPath, [script, '18', '16', folder, 'A'], { stdio: ['ignore', 'ignore', 'inherit'] });
  }, 600_000);
  afterAll(() => rmSync(folder, { recursive: true }));
  compare(
    cases.filter(([shortcut]) => shortcut === 'A'),
    () => folder,
  );
});

/** @param folderOf the folder of the numbers; called when the tests run */
function compare(chosen: readonly (readonly [Shortcut, DType])[], folderOf: () => string): void {
  test.each(chosen)(
    'shortcut %s, %s: logits, steps, running statistics, hybrid, assembly',
    async (shortcut, dtype) => {
      const reference = load(folderOf(), shortcut, dtype);
      const { blueprint, context, target, expectTensors, logits } = reference;
      const [logitBound, stepBound] = dtype === 'F32' ? [1e-5, 1e-6] : [1e-12, 1e-12];

      const model = assemble(blueprint, target, reference.stages('start', target), context);
      expect(maxDifference(logits(model), reference.numbers('logits'))).toBeLessThan(logitBound);
      const losses = await steps(reference, model);
      expect(relative(losses, reference.losses.losses)).toBeLessThan(stepBound);
      expectTensors(model, 'final', stepBound);

      // The middle module in the frozen meta model.
      const metaStages = reference.stages('meta', metaDepths(3));
      const meta = assemble(blueprint, metaDepths(3), metaStages, context);
      const fresh = hybrid(blueprint, target, meta, 1, context);
      const start = reference.stages('start', target);
      const mixed = [metaStages[0], start[1], metaStages[2]];
      const depths = fresh.stages.map(({ blocks }) => blocks.length);
      const module = assemble(blueprint, depths, mixed, context, { regimes: fresh.regimes, target });
      const frozen = [0, 2].map((stage) => weightsOf(module.stages[stage]));
      const hybridLosses = await steps(reference, module);
      expect(relative(hybridLosses, reference.losses.hybrid_losses)).toBeLessThan(stepBound);
      expectTensors(module, 'hybrid', stepBound);
      expect([0, 2].map((stage) => weightsOf(module.stages[stage]))).toEqual(frozen);
      expect(maxDifference(logits(module), reference.numbers('hybrid_logits'))).toBeLessThan(logitBound);

      const assembled = assemble(blueprint, target, [start[0], module.stages[1], start[2]], context);
      expect(maxDifference(logits(assembled), reference.numbers('assembled_logits'))).toBeLessThan(
        logitBound,
      );
      for (const each of [model, meta, fresh, module, assembled]) each.free();
    },
    600_000,
  );
}

function load(folder: string, shortcut: Shortcut, dtype: DType) {
  const { tensors } = readSafetensors(join(folder, 'resnet.safetensors'));
  const found: Cases = JSON.parse(readFileSync(join(folder, 'resnet.json'), 'utf8'));
  const { blocks, width, size } = found;
  const name = dtype === 'F32' ? (`${shortcut}.fp32` as const) : (`${shortcut}.fp64` as const);
  const blueprint = resnet({
    imageSize: size,
    channels: 3,
    classes: 10,
    blocks: [blocks, blocks, blocks],
    widths: [width, 2 * width, 4 * width],
    shortcut,
  });
  const generator = new Generator().seed([0, 'init']);
  const context = { device: 'cpu', dtype, generator } as const;
  const target = divide(blueprint.depth, { modules: 3 });
  const tensor = (key: string): TensorData => {
    const data = tensors.get(key);
    if (data === undefined) throw new RangeError(key);
    return data;
  };
  const images = tensor('images');
  const labels = floats(tensor('labels'));
  const batch: Batch = {
    size: labels.length,
    channels: 3,
    height: size,
    width: size,
    images: images.data,
    labels: Int32Array.from(labels),
    indices: Int32Array.from(labels.keys()),
  };
  const task = classification({
    channels: 3,
    classes: 10,
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
    device: 'cpu',
    dtype,
  });
  return {
    blueprint,
    context,
    target,
    task,
    batch,
    losses: found[name],
    numbers: (key: string) => floats(tensor(`${name}.${key}`)),
    /** For a whole model, or one with the meta model's depths: one stage per layer. */
    stages(part: 'start' | 'meta', depths: readonly number[]) {
      const prefix = `${shortcut}.${part}.`;
      const model = assemble(blueprint, depths, null, context, { target });
      const stages = model.stages.map((stage, i) => {
        const names = Array.from(stage.namedWeights(), ([local]) => local);
        const weights = new Map(names.map((local) => [local, tensor(prefix + theirName(local, i))]));
        return { weights, source: part };
      });
      model.free();
      return stages;
    },
    /** Every tensor that PyTorch kept of the model's end. */
    expectTensors(model: StagedModel, part: 'final' | 'hybrid', bound: number) {
      let compared = 0;
      for (const [i, stage] of model.stages.entries()) {
        for (const [local, data] of weightsOf(stage)) {
          const theirs = tensors.get(`${name}.${part}.${theirName(local, i)}`);
          if (theirs === undefined) continue;
          compared += 1;
          const [ours, wanted] = [floats(data), floats(theirs)];
          const scale = Math.max(1, ...wanted.map(Math.abs));
          expect(maxDifference(ours, wanted) / scale, `${i} ${local}`).toBeLessThan(bound);
        }
      }
      expect(compared).toBe([...tensors.keys()].filter((key) => key.startsWith(`${name}.${part}.`)).length);
    },
    logits: (model: StagedModel) =>
      scope(() =>
        noGrad(() => {
          const { input } = task.prepare(batch);
          return floats(model.forward(input, { training: false, generator, key: [] }).toData());
        }),
      ),
  };
}

/** torchvision's name of a stage's tensor. */
function theirName(local: string, stage: number): string {
  return local.replace(/^blocks\./, `layer${stage + 1}.`);
}

async function steps({ task, batch }: ReturnType<typeof load>, model: StagedModel): Promise<number[]> {
  const losses: number[] = [];
  const optimizer = sgd([{ weightDecay: 1e-4, parameters: model.trainedParameters() }], { nesterov: true });
  async function* batches() {
    for (;;) yield batch;
  }
  await train({
    model,
    task,
    optimizer,
    schedule: () => 0.01,
    batches: batches(),
    steps: 10,
    seed: 0,
    phase: 'E2E',
    afterStep: ({ loss }) => {
      losses.push(loss);
    },
  });
  optimizer.free();
  return losses;
}

function relative(ours: readonly number[], theirs: readonly number[]): number {
  expect(ours).toHaveLength(theirs.length);
  return Math.max(...ours.map((loss, i) => Math.abs(loss / theirs[i] - 1)));
}

function floats({ dtype, data }: TensorData): number[] {
  const bytes = data.slice().buffer;
  switch (dtype) {
    case 'F32':
      return Array.from(new Float32Array(bytes));
    case 'F64':
      return Array.from(new Float64Array(bytes));
    case 'I32':
      return Array.from(new Int32Array(bytes));
    case 'I64':
      return Array.from(new BigInt64Array(bytes), Number);
    default:
      throw new TypeError(dtype);
  }
}
