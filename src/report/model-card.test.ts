import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { needs, python, pythonPath } from '../../test/needs.js';
import { FULL_RUN, syntheticResult } from '../../test/synthetic-run.js';
import type { ForeignLayout } from '../models/layout.js';
import { resnetFamily } from '../models/resnet/family.js';
import type { VitConfig } from '../models/vit/config.js';
import { vitFamily } from '../models/vit/family.js';
import { type ModelCard, modelCard } from './model-card.js';

const EVIL = 'a: b\n---\n<script>`x`</script> | [link](#) "\' {}';

const [timm, huggingFace] = vitFamily.layouts as readonly ForeignLayout[];

const CONFIG: VitConfig = {
  imageSize: 32,
  patchSize: 4,
  channels: 3,
  classes: 100,
  width: 192,
  depth: 12,
  heads: 3,
  mlpRatio: 4,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
};

function cardOf(changes: Partial<ModelCard> = {}): ModelCard {
  return {
    recipe: {
      name: 'small run',
      data: { format: 'cifar-100', fraction: 0.25 },
    },
    config: CONFIG,
    mean: [0.5, 0.4, 0.3],
    std: [0.2, 0.25, 0.125],
    seed: 3,
    phase: 'FT',
    step: 188,
    family: vitFamily,
    layout: huggingFace,
    parameters: 5_500_000,
    scores: { top1: 77.123456, top5: 94, loss: 0.9, images: 10_000 },
    depths: [3, 3, 3, 3],
    results: FULL_RUN.map(syntheticResult),
    ...changes,
  };
}

function split(text: string) {
  const [, front, body] = /^---\n([\s\S]*?)\n---\n\n([\s\S]*)$/.exec(text) ?? [];
  return { front: parse(front), body };
}

test('the metadata has what the hub reads: library, task, data set, results', () => {
  const { front, body } = split(modelCard(cardOf()));
  expect(front).toMatchObject({
    library_name: 'transformers',
    pipeline_tag: 'image-classification',
    datasets: ['uoft-cs/cifar100'],
    metrics: ['accuracy'],
  });
  const [{ name, results }] = front['model-index'];
  expect(name).toBe('small run');
  expect(results[0].dataset).toEqual({ name: 'CIFAR-100', type: 'uoft-cs/cifar100', split: 'validation' });
  expect(results[0].metrics[0]).toEqual({ type: 'accuracy', name: 'Top-1 accuracy, %', value: 77.1235 });
  expect(body).toContain('| trained on | 25.0 % of CIFAR-100 |');
  expect(body).toContain('| blocks | 12 (3 + 3 + 3 + 3) |');
  expect(front).not.toHaveProperty('license');
});

test.each([
  ['segmentation', 'image-segmentation', 'semantic segmentation', { miou: 41.5, macc: 52, aacc: 79 }],
  [
    'detection',
    'object-detection',
    'object detection and instance segmentation',
    { ap: 41.5, ap50: 60, ap75: 44, mask_ap: 38, mask_ap50: 58, mask_ap75: 40 },
  ],
] as const)(
  'the card of a model for %s names its task and its metrics',
  (task, pipeline, purpose, scores) => {
    const recipe = { name: 'dense', task, data: { format: 'folder' } };
    const { front, body } = split(
      modelCard(cardOf({ recipe, layout: undefined, scores: { ...scores, loss: 2, images: 50 } })),
    );
    expect(front).toMatchObject({ pipeline_tag: pipeline });
    expect(front.tags).toContain(pipeline);
    expect(JSON.stringify(front)).not.toMatch(/classification|accuracy"/);
    const [{ task: named, metrics }] = front['model-index'][0].results;
    expect(named.type).toBe(pipeline);
    expect(metrics.map(({ type }: { type: string }) => type)).toEqual([...Object.keys(scores), 'loss']);
    expect(body).toContain(` for ${purpose}, `);
    // A data set with annotations is named by its root.
    expect(body).toMatch(/npx deep-incubation eval \S+ --data (ade20k|coco)\n/);
    // Their images are not cropped.
    expect(body).not.toContain('centre');
    // Neither is a share of the images, so the number of images gives no interval.
    expect(body).toContain('| 41.50 % |');
  },
);

test('the cost is that of the phases that trained the model', () => {
  expect(modelCard(cardOf())).toContain('Training (PT, MT/0, MT/1, MT/2, MT/3, FT) took');
  expect(modelCard(cardOf({ phase: 'MT/1' }))).toContain('Training (PT, MT/1) took');
  expect(modelCard(cardOf({ phase: 'E2E' }))).toContain('Training (E2E) took');
});

test('usage is complete: preprocessing, and the model in timm', () => {
  const small = modelCard(cardOf());
  expect(small).toContain('| pixels | (RGB / 255 - \\[0.5,0.4,0.3\\]) / \\[0.2,0.25,0.125\\] |');
  expect(small).toContain('transforms.Normalize([0.5,0.4,0.3], [0.2,0.25,0.125]),');
  expect(small).not.toContain('Resize');
  expect(small).toContain('measured on the 10,000 validation images');
  const config = { ...CONFIG, imageSize: 224, patchSize: 16, qkvBias: false, channels: 1 };
  const large = modelCard(cardOf({ config, layout: timm, file: 'a.safetensors' }));
  expect(large).toContain('shorter side to 256 (bicubic), centre 224; (grey / 255');
  expect(large).toContain('transforms.Resize(256, transforms.InterpolationMode.BICUBIC),');
  expect(large).toContain("convert('L')");
  expect(large).toContain('img_size=224, patch_size=16, in_chans=1, num_classes=100,');
  expect(large).toContain('embed_dim=192, depth=12, num_heads=3, mlp_ratio=4, qkv_bias=False,');
  expect(large).toContain('load_file("a.safetensors")');
  expect(modelCard(cardOf({ config, evalCrop: 0.9 }))).toContain('shorter side to 248 (bicubic), centre 224');
  expect(modelCard(cardOf({ config, evalCrop: 1 }))).toContain('transforms.Resize(224, ');
});

test('the card of a ResNet names it, and says how to evaluate it', () => {
  const config = { imageSize: 32, channels: 3, classes: 10 };
  for (const layout of [undefined, ...(resnetFamily.layouts as readonly ForeignLayout[])]) {
    const { front, body } = split(
      modelCard(cardOf({ family: resnetFamily, layout, config, file: 'r.safetensors' })),
    );
    expect(front).toMatchObject({ library_name: 'deep-incubation' });
    expect(front.tags).toContain('resnet');
    expect(front.tags).not.toContain('vit');
    expect(body).toContain('A ResNet for CIFAR for image classification, ');
    expect(body).toContain('npx deep-incubation eval r.safetensors --data images/val');
    expect(body).not.toMatch(/Vision Transformer|import torch/);
  }
});

test('few classes are named in their order', () => {
  const names = ['bag', 'shoe|s'];
  const config = { ...CONFIG, classes: 2 };
  const card = modelCard(cardOf({ config, classNames: names }));
  expect(card).toContain('| classes | 2, in this order: bag, shoe\\|s |');
  expect(modelCard(cardOf({ classNames: Array(100).fill('x') }))).toContain('| classes | 100 |');
});

test('weights that were not evaluated unchanged claim no accuracy', () => {
  const { front, body } = split(modelCard(cardOf({ scores: undefined })));
  expect(front).not.toHaveProperty('model-index');
  expect(body).toContain('not evaluated as they are');
  expect(body).not.toContain('top-1');
});

test('a hostile name is escaped', () => {
  const recipe = { name: EVIL, data: { format: 'folder' } };
  const { front, body } = split(modelCard(cardOf({ recipe })));
  expect(front['model-index'][0].name).toBe(EVIL);
  expect(front).not.toHaveProperty('datasets');
  expect(body).toContain('# a: b --- &lt;script>\\`x\\`&lt;/script> \\| \\[link\\](\\#)');
});

test('huggingface_hub reads the card', needs(python), () => {
  const folder = mkdtempSync(join(tmpdir(), 'card-'));
  const path = join(folder, 'README.md');
  writeFileSync(path, modelCard(cardOf({ layout: timm, file: 'a.safetensors' })));
  const program =
    'import sys; from huggingface_hub import ModelCard; d = ModelCard.load(sys.argv[1]).data; ' +
    'print(d.library_name, [(e.metric_type, e.metric_value, e.dataset_type) for e in d.eval_results][0])';
  const output = execFileSync(pythonPath, ['-c', program, path], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  expect(output.trim()).toBe("timm ('accuracy', 77.1235, 'uoft-cs/cifar100')");
});

test.each([
  ['FT', { start: { model: 'given.pth' } }, 'fine-tuned from a given model'],
  ['E2E', { start: { model: 'given.pth' } }, 'as the baseline of a run that fine-tunes a given model'],
  ['E2E', { incubation: 'none' }, 'trained end to end from scratch.'],
])('%s of a run that incubates nothing (%o) is not called Deep Incubation', (phase, recipe, kind) => {
  const card = modelCard(cardOf({ phase, recipe: { ...cardOf().recipe, ...recipe } }));
  expect(card).toContain(kind);
  expect(card).not.toMatch(/Deep Incubation|2212\.04129/);
});

test('accuracy has its interval, loss its name, and five classes have no top-5', () => {
  const many = modelCard(cardOf());
  expect(many).toContain('| top-1 | 77.12 % (95 % interval 76.29 to 77.93) |');
  expect(many).toContain('| top-5 | 94.00 % |');
  expect(many).toContain('| eval loss | 0.9000 |');
  const few = modelCard(cardOf({ config: { ...CONFIG, classes: 5 } }));
  expect(few).toContain('| top-1 | 77.12 %');
  expect(few).not.toMatch(/top-5/i);
});
