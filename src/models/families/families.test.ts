import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { defineFamily } from '../own-family.js';
import {
  allFamilies,
  familiesIn,
  familyOf,
  familyOfStages,
  modelSection,
  modelSectionWith,
  recognised,
  withFamilies,
} from './families.js';

const parts = () => {
  throw new Error('not built');
};
const own = defineFamily({
  name: 'own',
  keys: { width: 8, rate: 0.5, wide: false, kind: 'a', sizes: [1, 2] },
  blueprint: () => ({
    depth: 2,
    makeStem: parts,
    makeBlock: parts,
    makeHead: parts,
    macs: { stem: 1, head: 1, block: () => 1 },
  }),
});
const stage = (...names: string[]) => [new Map(names.map((name) => [name, name]))];

test('a section without a family describes a vision transformer', () => {
  expect(familyOf({}).name).toBe('vit');
  expect(familyOf({ family: 'resnet' }).name).toBe('resnet');
  expect(modelSection.parse({ preset: 'vit-tiny' })).toMatchObject({ image_size: 224, classes: 1000 });
  expect(modelSection.parse({ family: 'resnet' })).toMatchObject({ image_size: 32, shortcut: 'A' });
});

test('an unknown family is an error that names the known ones', () => {
  expect(() => familyOf({ family: 'swin' })).toThrow(InputError);
  expect(() => familyOf({ family: 'swin' })).toThrow('model.family swin is unknown');
  expect(modelSection.safeParse({ family: 'swin' }).error?.issues[0].message).toBe(
    'expected one of vit, resnet',
  );
  const error = modelSectionWith([own]).safeParse({ family: 'swin' }).error;
  expect(error?.issues[0].message).toBe('expected one of vit, resnet, own');
});

test('two families of one name are an error', () => {
  for (const families of [[own, own], [{ ...own, name: 'resnet' }]]) {
    expect(() => modelSectionWith(families)).toThrow(InputError);
    expect(() => modelSectionWith(families)).toThrow(/two model families have the name (own|resnet)/);
  }
});

test.each([
  ['an empty name', { name: ' ' }, 'the name is empty'],
  ['a key of every model', { keys: { classes: 3 } }, 'mine: the key classes is one that every model has'],
  ['the family as a key', { keys: { family: 'a' } }, 'mine: the key family is one that every model has'],
])('a family with %s is an error', (_, changes: object, message) => {
  const define = () => defineFamily({ name: 'mine', keys: {}, blueprint: parts, ...changes });
  expect(define).toThrow(InputError);
  expect(define).toThrow(message);
});

test.each([undefined, { stem: 1, head: 1 }, { stem: 1, head: 1, block: 5 }])(
  'a blueprint with macs %o is an error',
  (macs) => {
    const model = { depth: 2, makeStem: parts, makeBlock: parts, makeHead: parts, macs: macs as never };
    const family = defineFamily({ name: 'mine', keys: {}, blueprint: () => model });
    const build = () => family.blueprint({ imageSize: 8, channels: 3, classes: 2 });
    expect(build).toThrow(InputError);
    expect(build).toThrow('the blueprint of the family mine has no complete macs');
  },
);

test("the user's families are found where they are given, and in no other section", () => {
  const section = withFamilies({ family: 'own' }, [own]);
  expect(familyOf(section)).toBe(own);
  expect(familyOf({ ...section })).toBe(own);
  expect(familyOf({ family: 'own' }, [own])).toBe(own);
  expect(() => familyOf({ family: 'own' })).toThrow('model.family own is unknown');
  expect(JSON.parse(JSON.stringify(section))).toEqual({ family: 'own' });
  expect(familiesIn(section)).toEqual([own]);
  expect(familiesIn(undefined)).toEqual([]);
  expect(allFamilies([own]).map(({ name }) => name)).toEqual(['vit', 'resnet', 'own']);
});

test('a family is recognised by the names of its tensors', () => {
  const vit = stage('patch_embed.proj.weight', 'blocks.0.norm1.weight');
  const resnet = stage('conv1.weight', 'bn1.running_mean');
  expect(recognised(vit)?.name).toBe('vit');
  expect(recognised(resnet)?.name).toBe('resnet');
  expect(recognised(stage('conv1.weight'))).toBeUndefined();
  expect(familyOfStages(stage('x')).name).toBe('vit');
  const mine = { ...own, recognises: () => true };
  expect(recognised(vit, [mine])).toBe(mine);
});

test("keys of the user's family have the types of their defaults", () => {
  const parse = (changes: object) =>
    own.section.safeParse({ family: 'own', image_size: 8, classes: 2, ...changes });
  const whole = { family: 'own', image_size: 8, channels: 3, classes: 2 };
  expect(parse({}).data).toEqual({ ...whole, width: 8, rate: 0.5, wide: false, kind: 'a', sizes: [1, 2] });
  for (const wrong of [{ width: 1.5 }, { rate: '1' }, { wide: 1 }, { kind: 2 }, { sizes: ['a'] }, { x: 1 }]) {
    expect(parse(wrong).success).toBe(false);
  }
  expect(own.configOf(parse({ width: 4 }).data as never, 'recipe')).toEqual({
    imageSize: 8,
    channels: 3,
    classes: 2,
    width: 4,
    rate: 0.5,
    wide: false,
    kind: 'a',
    sizes: [1, 2],
  });
});
