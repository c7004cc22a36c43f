import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, test } from 'vitest';
import { modelOfCheckpoint } from '../src/launch/start/model-of-checkpoint.js';
import { assemble } from '../src/method/assemble.js';
import { readModelFile } from '../src/models/model-file/model-file.js';
import { blueprintOf } from '../src/recipe/recipe-model.js';
import { latestCheckpoint } from '../src/run/checkpoint-store.js';
import { noGrad } from '../src/torch/autograd.js';
import { Generator } from '../src/torch/random.js';
import { scope } from '../src/torch/scope.js';
import { fromArray } from '../src/torch/tensor.js';
import { writeCifar100 } from './cifar-100.js';
import { cli, jsonLines, start, temporaryFolder, until } from './cli-support.js';
import { stateOf } from './killed-run.js';
import { maxDifference } from './support.js';

const folder = temporaryFolder();
const recipe = fileURLToPath(new URL('../recipes/cifar-100/resnet-110.yaml', import.meta.url));
const run = join(folder, 'run');
const PHASES = ['PT', 'MT/0', 'MT/1', 'MT/2', 'FT', 'E2E'];

/** The recipe at the size of a test: ResNet-14 of a quarter of the width, 64 images in CIFAR-100's format. */
const sets = [
  'model.blocks=[2,2,2]',
  'model.widths=[4,8,16]',
  'training.batch_size=16',
  'training.log_every=1',
  'training.checkpoint_every=0.001',
  'training.ema=0.9',
  'training.activation_checkpointing=true',
  'phases.PT.epochs=2',
  'phases.MT.epochs=2',
  'phases.FT.epochs=2',
  'phases.E2E.epochs=1',
  'run.device=cpu',
  'run.threads=1',
  'run.parallel=1',
].concat(`data.path=${folder}`);
const args = (out: string, ...more: string[]) => [
  'run',
  recipe,
  '--out',
  out,
  ...[...sets, ...more].flatMap((set) => ['--set', set]),
];

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  writeCifar100(folder, { train: 64, test: 20 });
  expect(await cli(args(run))).toMatchObject({ code: 0 });
}, 300_000);

function latestFolder(phase: string): string {
  return latestCheckpoint(join(run, phase)).checkpoint?.folder ?? '';
}

test('plan: the cost of unequal blocks, and memory', async () => {
  const planned = await cli(['plan', recipe, '--json', ...sets.flatMap((set) => ['--set', set])]);
  expect(planned).toMatchObject({ code: 0 });
  const { phases } = JSON.parse(planned.stdout);
  const [meta] = phases;
  // A meta block is as its module: 4 to 4, 4 to 8 with stride 2, 8 to 16 with stride 2, shortcut B.
  const block = (a: number, b: number) => 9 * a * b + 9 * b * b + (a === b ? 0 : a * b);
  const macs = 32 ** 2 * (9 * 3 * 4 + block(4, 4)) + 16 ** 2 * block(4, 8) + 8 ** 2 * block(8, 16) + 16 * 100;
  expect(meta).toMatchObject({ phase: 'PT', depths: [1, 1, 1], forward_macs: macs });
  expect(meta.memory.peak).toBeGreaterThan(0);
  const held = [...stateOf(run, 'PT').model]
    .filter(([name]) => !/running_|num_batches/.test(name))
    .reduce((sum, [, { shape }]) => sum + shape.reduce((a, b) => a * b, 1), 0);
  expect(meta.parameters).toBe(held);
});

test('all phases ran; modules updated their statistics, frozen stages did not', () => {
  for (const phase of PHASES) {
    const records = jsonLines(join(run, phase, 'metrics.jsonl'));
    expect(records.filter(({ kind }) => kind === 'step').length, phase).toBeGreaterThan(0);
  }
  const count = (phase: string, name: string) => stateOf(run, phase).model.get(name)?.data[0];
  // 64 images in batches of 16, two epochs: 8 steps, each counted once though activations are recomputed.
  expect(count('PT', 'stages.0.blocks.0.bn1.num_batches_tracked')).toBe(8);
  expect(count('MT/1', 'stages.1.blocks.1.bn2.num_batches_tracked')).toBe(8);
  for (const stage of [0, 2]) {
    const [meta, hybrid] = ['PT', 'MT/1'].map((phase) =>
      [...stateOf(run, phase).model].filter(([name]) => name.startsWith(`stages.${stage}.`)),
    );
    expect(hybrid).toEqual(meta);
  }
});

test('killed in PT, MT/1 and FT, and resumed, it is bit-identical', async () => {
  const killed = join(folder, 'killed');
  for (const [phase, steps] of [
    ['PT', 3],
    ['MT/1', 5],
    ['FT', 2],
  ] as const) {
    const metrics = join(killed, phase, 'metrics.jsonl');
    const running = start(args(killed));
    await until(() => jsonLines(metrics).filter(({ kind }) => kind === 'step').length >= steps, phase);
    running.process.kill('SIGKILL');
    await running.ended;
  }
  expect(await cli(args(killed))).toMatchObject({ code: 0 });
  for (const each of PHASES) expect(stateOf(killed, each), each).toEqual(stateOf(run, each));
}, 300_000);

describe('its checkpoint', () => {
  const target = join(run, 'FT');

  test('inspect shows its geometry', async () => {
    const { stdout, code } = await cli(['inspect', target, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      layout: 'deep-incubation',
      geometry: {
        depths: [2, 2, 2],
        channels: 3,
        classes: 100,
        blocks: [2, 2, 2],
        widths: [4, 8, 16],
        shortcut: 'B',
      },
    });
    const hybrid = JSON.parse((await cli(['inspect', join(run, 'MT/1'), '--json'])).stdout);
    expect(hybrid.geometry).toMatchObject({ depths: [1, 2, 1], blocks: [1, 2, 1] });
  });

  test.each(['PT', 'MT/2', 'FT'])('eval of %s equals the result of the run', async (phase) => {
    const { stdout, code, stderr } = await cli(['eval', join(run, phase), '--data', folder, '--json']);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const { top1, loss, model } = JSON.parse(stdout);
    const last = jsonLines(join(run, phase, 'metrics.jsonl'))
      .filter(({ kind }) => kind === 'eval')
      .at(-1);
    expect(top1).toBe(last?.top1);
    expect(loss).toBeCloseTo(Number(last?.loss), 5);
    expect(model).toMatchObject({ family: 'resnet', widths: [4, 8, 16], shortcut: 'B' });
  });

  test("convert to torchvision's names and back, bit by bit; other layouts are refused", async () => {
    const out = join(folder, 'torchvision.safetensors');
    expect(await cli(['convert', target, out, '--to', 'torchvision'])).toMatchObject({ code: 0 });
    const file = await readModelFile(out);
    expect(file.layout).toBe('torchvision');
    const own = await readModelFile(latestFolder('FT'));
    const whole = join(folder, 'whole.safetensors');
    const divided = ['convert', out, whole, '--to', 'deep-incubation', '--depths', '2,2,2'];
    expect(await cli(divided)).toMatchObject({ code: 0 });
    expect((await readModelFile(whole)).stages).toEqual(own.stages);
    const refused = await cli(['convert', target, join(folder, 'no'), '--to', 'huggingface']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(
      'contains a ResNet for CIFAR, which the format huggingface does not support',
    );
  });

  test('export: onnxruntime computes its logits', async () => {
    const out = join(folder, 'model.onnx');
    expect(await cli(['export', target, out])).toMatchObject({ code: 0 });
    const session = await InferenceSession.create(out, { logSeverityLevel: 3 });
    const pixels = Float32Array.from({ length: 2 * 3 * 32 * 32 }, (_, i) => Math.sin(i));
    const { logits } = await session.run({ pixels: new Tensor('float32', pixels, [2, 3, 32, 32]) });
    const file = await readModelFile(latestFolder('FT'));
    const settings = ['model.family=resnet', 'model.image_size=32'];
    const known = modelOfCheckpoint({ file, manifest: undefined }, { settings });
    const generator = new Generator();
    const stages = file.stages.map((weights) => ({ weights, source: 'FT' }));
    const context = { device: 'cpu', dtype: 'F32', generator } as const;
    const model = assemble(blueprintOf(known.recipe), known.depths, stages, context);
    const ours = scope(() =>
      noGrad(() =>
        model
          .forward(fromArray(pixels, [2, 3, 32, 32]), { training: false, generator, key: [] })
          .toFloat32Array(),
      ),
    );
    expect(maxDifference([...(logits.data as Float32Array)], [...ours])).toBeLessThan(1e-5);
  });
});

test('keys of another family are refused by name', async () => {
  const wrong = await cli(args(join(folder, 'wrong'), 'model.depth=110'));
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain('unknown key model.depth');
  expect(wrong.stderr).toContain(
    'the keys of model are family, preset, image_size, channels, classes, blocks',
  );
  const none = await cli(args(join(folder, 'none'), 'model.family=mixer'));
  expect(none.code).toBe(2);
  expect(none.stderr).toContain('expected one of vit, resnet');
});
