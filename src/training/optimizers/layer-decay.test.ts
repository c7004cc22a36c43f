import { describe, expect, test } from 'vitest';
import { goldenBlueprint } from '../../../test/support.js';
import { RunError } from '../../base/errors.js';
import { buildStage, StagedModel } from '../../models/staged.js';
import { ones } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { layerDecayGroups } from './layer-decay.js';
import { decayGroups, type ParameterGroup } from './optimizer.js';

const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0]) } as const;

function modelOf(depths: number[]): StagedModel {
  return new StagedModel(depths.map((_, i) => buildStage(goldenBlueprint, { depths }, i, context)));
}
const namesOf = (model: StagedModel) => Array.from(model.namedParameters(), ([name]) => name);

/** By name. */
function scales(groups: readonly ParameterGroup[]): Map<string, number | undefined> {
  return new Map(
    groups.flatMap(({ parameters, lrScale }) => parameters.map(([name]) => [name, lrScale] as const)),
  );
}

describe.each([[[1, 2, 1]], [[4]], [[2, 2]]])('a ViT of 4 blocks, divided into %j', (depths) => {
  const model = modelOf(depths);
  const groups = decayGroups([...model.namedParameters()], 0.05, goldenBlueprint.undecayed);
  const decayed = layerDecayGroups(groups, namesOf(model), 0.5);
  const scaleOf = scales(decayed);
  /** As in timm: block j of the undivided model. */
  const block = (j: number, name: string) => {
    const stage = depths.findIndex((_, i) => j < depths.slice(0, i + 1).reduce((a, b) => a + b, 0));
    const before = depths.slice(0, stage).reduce((a, b) => a + b, 0);
    return `stages.${stage}.blocks.${j - before}.${name}`;
  };

  test('each layer has the scale decay^(5 - layer)', () => {
    for (const name of ['pos_embed', 'cls_token', 'patch_embed.proj.weight', 'patch_embed.proj.bias']) {
      expect(scaleOf.get(`stages.0.${name}`), name).toBe(1 / 32);
    }
    for (let j = 0; j < 4; j++) {
      for (const name of ['norm1.weight', 'attn.qkv.weight', 'attn.qkv.bias', 'mlp.fc2.bias']) {
        expect(scaleOf.get(block(j, name)), `block ${j} ${name}`).toBe(1 / 2 ** (4 - j));
      }
    }
    for (const name of ['norm.weight', 'norm.bias', 'head.weight', 'head.bias']) {
      expect(scaleOf.get(`stages.${depths.length - 1}.${name}`), name).toBe(1);
    }
  });

  test('a factor for the backbone leaves norm and head at the full rate', () => {
    const scaled = scales(layerDecayGroups(groups, namesOf(model), 0.5, { backbone: 0.1 }));
    expect(scaled.get('stages.0.pos_embed')).toBe(0.1 / 32);
    expect(scaled.get(block(3, 'attn.qkv.weight'))).toBe(0.1 / 2);
    for (const name of ['norm.weight', 'head.weight'])
      expect(scaled.get(`stages.${depths.length - 1}.${name}`)).toBe(1);
  });

  test('every parameter is in one group, with its decay, in its order', () => {
    const order = (of: readonly ParameterGroup[], weightDecay: number) =>
      of.filter((group) => group.weightDecay === weightDecay).flatMap(({ parameters }) => parameters);
    for (const weightDecay of [0, 0.05]) {
      expect(order(decayed, weightDecay)).toEqual(order(groups, weightDecay));
    }
    // Both groups have parameters in all six layers, and the layers rise within each.
    expect(decayed.map(({ weightDecay }) => weightDecay)).toEqual([
      ...Array(6).fill(0),
      ...Array(6).fill(0.05),
    ]);
    for (const half of [decayed.slice(0, 6), decayed.slice(6)]) {
      expect(half.map(({ lrScale }) => lrScale)).toEqual([1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]);
    }
  });
});

test('with parts frozen, the others keep their layers', () => {
  const model = modelOf([4]);
  const ends = [...model.namedParameters()].filter(([name]) => !name.includes('blocks.'));
  const scaleOf = scales(layerDecayGroups(decayGroups(ends, 0.05, []), namesOf(model), 0.5));
  expect(scaleOf.get('stages.0.pos_embed')).toBe(1 / 32);
  expect(scaleOf.get('stages.0.head.weight')).toBe(1);
});

test('of a single stage, of a model with a part around it, and of a stem with several parts', () => {
  const names = ['stem.weight', 'blocks.0.w', 'blocks.1.w'];
  const prefixed = ['backbone.stages.0.stem.w', 'backbone.stages.0.blocks.0.w', 'decoder.w'];
  const group = (all: string[]): ParameterGroup[] => [
    { weightDecay: 0, parameters: all.map((name) => [name, ones([1])]) },
  ];
  expect([...scales(layerDecayGroups(group(names), names, 0.5)).values()]).toEqual([1 / 8, 1 / 4, 1 / 2]);
  expect([...scales(layerDecayGroups(group(prefixed), prefixed, 0.5)).values()]).toEqual([1 / 4, 1 / 2, 1]);
});

test('it multiplies an existing scale, and a decay of 1 changes no rate', () => {
  const names = ['stem', 'blocks.0.w'];
  const parameters = names.map((name) => [name, ones([1])] as const);
  const scaleOf = (lrScale: number, decay: number) => [
    ...scales(layerDecayGroups([{ weightDecay: 0, lrScale, parameters }], names, decay)).values(),
  ];
  expect(scaleOf(3, 0.5)).toEqual([3 / 4, 3 / 2]);
  expect(scaleOf(1, 1)).toEqual([1, 1]);
});

test('a parameter that the model does not have is an error that names it', () => {
  const groups = [{ weightDecay: 0, parameters: [['other.weight', ones([1])] as const] }];
  expect(() => layerDecayGroups(groups, ['stem'], 0.5)).toThrow(RunError);
  expect(() => layerDecayGroups(groups, ['stem'], 0.5)).toThrow('other.weight');
});
