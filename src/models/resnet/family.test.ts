import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { assemble } from '../../method/assemble.js';
import { divide } from '../../method/divide.js';
import { weightsOf } from '../../nn/weights.js';
import { Generator } from '../../torch/random.js';
import { resnetFamily } from './family.js';
import { type ResnetConfig, resnetFacts } from './geometry.js';
import { resnet } from './resnet.js';

const tiny: ResnetConfig = {
  imageSize: 16,
  channels: 3,
  classes: 5,
  blocks: [2, 1],
  widths: [4, 8],
  shortcut: 'B',
};

function stagesOf(config: ResnetConfig, modules = 1): Map<string, TensorData>[] {
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
  const depth = config.blocks.reduce((a, b) => a + b, 0);
  const model = assemble(resnet(config), divide(depth, { modules }), null, context);
  return model.stages.map((stage) => new Map(weightsOf(stage)));
}

test.each([
  [tiny, 1],
  [tiny, 3],
  [{ ...tiny, channels: 1, classes: 2, blocks: [1, 0, 2], widths: [4, 8, 16] }, 1],
] as const)('weights show the geometry of %o in %d stages', (config, modules) => {
  const { channels, classes, blocks, widths, shortcut } = config;
  const facts = resnetFacts(stagesOf(config, modules), 'file');
  // A width without blocks leaves no trace: the next block multiplies the width by more.
  const held = blocks.map((count, i) => [count, widths[i]]).filter(([count], i) => count > 0 || i === 0);
  expect(facts).toMatchObject({
    channels,
    classes,
    blocks: held.map(([count]) => count),
    widths: held.map(([, width]) => width),
    shortcut,
  });
  expect(facts.depths).toHaveLength(modules);
});

test('shortcut A cannot be recognised, because it has no parameters', () => {
  expect(resnetFacts(stagesOf({ ...tiny, shortcut: 'A' }), 'file').shortcut).toBe('A');
});

test.each([
  ['conv1.weight', [4, 3, 7, 7], 'has a kernel of 7 pixels, but a ResNet for CIFAR has 3'],
  ['blocks.0.conv1.weight', [4, 6, 3, 3], 'has 6 input and 4 output channels, after 4'],
  ['blocks.2.conv2.weight', undefined, 'blocks.2.conv2.weight is missing'],
  ['blocks.1', undefined, 'blocks.1 is missing, but a later block exists'],
] as const)('%s of shape %o is refused', (name, shape, message) => {
  const shapes = new Map<string, { shape: readonly number[] }>(stagesOf(tiny)[0]);
  for (const each of [...shapes.keys()]) {
    if (each === name || each.startsWith(`${name}.`)) shapes.delete(each);
  }
  if (shape) shapes.set(name, { shape });
  expect(() => resnetFacts([shapes], 'file')).toThrow(InputError);
  expect(() => resnetFacts([shapes], 'file')).toThrow(message);
});

test('no stages, no blocks, and no head', () => {
  expect(() => resnetFacts([], 'file')).toThrow('file: has no stages');
  const [whole] = stagesOf(tiny);
  const stem = new Map([...whole].filter(([name]) => !name.startsWith('blocks.')));
  expect(() => resnetFacts([stem], 'file')).toThrow('has no blocks');
  const backbone = new Map([...whole].filter(([name]) => !name.startsWith('fc.')));
  expect(resnetFacts([backbone], 'file').classes).toBeNull();
});

test('a new head leaves the old one out', () => {
  const { stages, isFresh, leftOut } = resnetFamily.newHead(tiny, stagesOf(tiny, 3));
  expect(leftOut).toEqual(['fc.weight', 'fc.bias']);
  expect(stages.flatMap((stage) => [...stage.keys()]).some(isFresh)).toBe(false);
  expect(isFresh('fc.bias') && !isFresh('bn1.bias')).toBe(true);
});

test('--resize is refused, because a ResNet takes images of any size', () => {
  const stages = stagesOf(tiny);
  expect(() => resnetFamily.resize(stages, 32, 'file')).toThrow('takes images of any size');
  expect(resnetFamily.fit(stages, { ...tiny, imageSize: 64 }, 'file')).toEqual({ stages });
});

test('weights of unknown origin get a section that builds them', () => {
  const facts = resnetFacts(stagesOf(tiny), 'file');
  const { section, assumed } = resnetFamily.assumedSection(facts, {}, []);
  expect(section).toMatchObject({ family: 'resnet', image_size: 32, blocks: [2, 1], widths: [4, 8] });
  expect(assumed.map(({ key }) => key)).toEqual(['model.image_size']);
});
