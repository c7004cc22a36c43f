import { join } from 'node:path';
import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { splitStages } from '../../weights/layout/model-file-stages.js';
import { readSafetensors } from '../../weights/safetensors/safetensors.js';
import { readModelFile } from '../model-file/model-file.js';
import { hiddenWidth } from './config.js';
import { inferGeometry, vitEndOf } from './weights-geometry.js';

const fixture = (name: string) => join('test/fixtures', name);
const shapes = (): Map<string, { shape: number[] }>[] => {
  const named = readSafetensors(fixture('tiny-vit.safetensors')).tensors;
  return splitStages(named, 'file', vitEndOf).map(
    (stage) => new Map([...stage].map(([name, { shape }]) => [name, { shape: [...shape] }])),
  );
};
const tiny = { imageSize: 4, patchSize: 2, channels: 3, width: 4, depths: [1, 1], classes: 3, mlpRatio: 2 };

test('for a tiny model without qkv bias', () => {
  expect(inferGeometry(shapes())).toEqual({ ...tiny, qkvBias: false, classToken: true });
});

test('without a class token', () => {
  const stages = shapes();
  stages[0].delete('cls_token');
  stages[0].set('pos_embed', { shape: [1, 9, 4] });
  expect(inferGeometry(stages)).toEqual({ ...tiny, imageSize: 6, qkvBias: false, classToken: false });
});

// Where hidden / width is rounded down, timm's int(width * (hidden / width)) is one less than hidden, as for 448 and 920.
test('the ratio of the MLP gives its hidden width back', () => {
  expect(Math.floor(448 * (920 / 448))).toBe(919);
  const hiddenOf = (width: number, hidden: number) => {
    const [first] = shapes();
    const sized = new Map([...first].map(([name]) => [name, { shape: shapeOf(name, width, hidden) }]));
    const last = {
      'norm.weight': [width],
      'norm.bias': [width],
      'head.weight': [3, width],
      'head.bias': [3],
    };
    for (const [name, shape] of Object.entries(last)) sized.set(name, { shape });
    return hiddenWidth(inferGeometry([sized]));
  };
  for (const width of [7, 49, 88, 448, 704, 832]) {
    for (let hidden = 1; hidden <= 5 * width; hidden += 1 + (width >> 4)) {
      expect([width, hiddenOf(width, hidden)]).toEqual([width, hidden]);
    }
  }
  expect(hiddenOf(448, 920)).toBe(920);
});

/** The shape of a tensor of the first stage in a model of another size. */
function shapeOf(name: string, width: number, hidden: number): number[] {
  if (name === 'patch_embed.proj.weight') return [width, 3, 2, 2];
  if (name === 'pos_embed') return [1, 5, width];
  if (name === 'cls_token') return [1, 1, width];
  const sizes: Record<string, number[]> = {
    'attn.qkv.weight': [3 * width, width],
    'attn.proj.weight': [width, width],
    'mlp.fc1.weight': [hidden, width],
    'mlp.fc1.bias': [hidden],
    'mlp.fc2.weight': [width, hidden],
  };
  return sizes[name.replace(/^blocks\.\d+\./, '')] ?? [width];
}

test('of a distilled model', async () => {
  const { stages } = await readModelFile('test/fixtures/interop/timm-distilled.safetensors');
  expect(inferGeometry(stages)).toMatchObject({ distilled: true, imageSize: 16, classToken: true });
  const [stage] = stages.map((each) => new Map(each));
  stage.delete('head_dist.bias');
  expect(() => inferGeometry([stage])).toThrow('head_dist.bias missing');
});

type Change = (stages: ReturnType<typeof shapes>) => void;
test.each<[string, Change, string]>([
  ['no stages', (stages) => stages.splice(0), 'has no stages'],
  [
    'no patch embedding',
    ([first]) => first.delete('patch_embed.proj.weight'),
    'stages.0.patch_embed.proj.weight is missing',
  ],
  ['no head', ([, last]) => last.delete('head.weight'), 'stages.1.head.weight is missing'],
  ['no final norm', ([, last]) => last.delete('norm.bias'), 'stages.1: norm.bias missing'],
  [
    'a block with holes',
    ([, last]) => ['norm1.bias', 'mlp.fc2.weight'].map((name) => last.delete(`blocks.0.${name}`)),
    'stages.1: blocks.0.norm1.bias, blocks.0.mlp.fc2.weight missing',
  ],
  ['a stage without blocks', (stages) => void stages.splice(1, 0, new Map()), 'stages.1 has no blocks'],
  [
    'blocks that start at 1',
    ([, last]) =>
      [...last].map(([name, shape]) => last.delete(name) && last.set(name.replace('s.0', 's.1'), shape)),
    'stages.1.blocks.0 is missing',
  ],
  [
    'a norm of another width',
    ([, last]) => last.set('blocks.0.norm1.weight', { shape: [5] }),
    'blocks.0.norm1.weight is [5], expected [4]',
  ],
  [
    'an MLP of another width',
    ([, last]) => last.set('blocks.0.mlp.fc1.weight', { shape: [16, 4] }),
    'blocks.0.mlp.fc1.weight is [16,4], expected [8,4]',
  ],
  [
    'qkv bias in one stage only',
    ([, last]) => last.set('blocks.0.attn.qkv.bias', { shape: [12] }),
    'stages.1.blocks.0.attn.qkv.bias exists',
  ],
  [
    'patches that are not square',
    ([first]) => first.set('patch_embed.proj.weight', { shape: [4, 3, 2, 3] }),
    'expected square patches',
  ],
  [
    'a grid that is not square',
    ([first]) => first.set('pos_embed', { shape: [1, 7, 4] }),
    'pos_embed is [1,7,4]',
  ],
  ['only a class token', ([first]) => first.set('pos_embed', { shape: [1, 1, 4] }), 'pos_embed is [1,1,4]'],
  [
    'a head of one dimension',
    ([, last]) => last.set('head.weight', { shape: [3] }),
    'head.weight is [3], expected 2 dimensions',
  ],
])('%s is an error that names it', (_, change, message) => {
  const stages = shapes();
  change(stages);
  expect(() => inferGeometry(stages, 'PT.pth')).toThrow(InputError);
  expect(() => inferGeometry(stages, 'PT.pth')).toThrow('PT.pth: ');
  expect(() => inferGeometry(stages, 'PT.pth')).toThrow(message);
});
