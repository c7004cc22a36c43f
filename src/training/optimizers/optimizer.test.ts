import { describe, expect, test } from 'vitest';
import { wave } from '../../../test/finite-differences.js';
import { parameterOf, setGradient } from '../../../test/optimizer-support.js';
import { goldenBlueprint } from '../../../test/support.js';
import { InputError, RunError } from '../../base/errors.js';
import { buildStage, StagedModel } from '../../models/staged.js';
import { ones } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { liveHandles } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';
import { adamw } from './adamw.js';
import { lamb } from './lamb.js';
import { lion } from './lion.js';
import { muonOfShare } from './muon.js';
import { decayGroups, type Optimizer, type ParameterGroup } from './optimizer.js';
import { sgd } from './sgd.js';

const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0]) } as const;
const depths = [1, 2, 1];
const stages = depths.map((_, i) => buildStage(goldenBlueprint, { depths }, i, context));

function decayed(parameters: Iterable<readonly [string, Tensor]>, undecayed: readonly string[]) {
  const groups = decayGroups([...parameters], 0.05, undecayed);
  expect(groups.map(({ weightDecay }) => weightDecay)).toEqual([0, 0.05]);
  const [without, within] = groups.map((group) => group.parameters.map(([name]) => name));
  return { without, within };
}

test('the whole model: vectors, position embedding and class token are not decayed', () => {
  const model = new StagedModel(stages);
  const { without, within } = decayed(model.namedParameters(), goldenBlueprint.undecayed);
  const shapes = new Map(Array.from(model.namedParameters(), ([name, { shape }]) => [name, shape.length]));
  expect(without.filter((name) => shapes.get(name) !== 1)).toEqual([
    'stages.0.pos_embed',
    'stages.0.cls_token',
  ]);
  expect(within.every((name) => name.endsWith('weight') && (shapes.get(name) ?? 0) > 1)).toBe(true);
  expect(within).toContain('stages.0.patch_embed.proj.weight');
  expect(without.length + within.length).toBe(shapes.size);
});

test('stage 0 in MT: position embedding and class token are decayed, as in the official code', () => {
  const { without, within } = decayed(stages[0].namedParameters(), []);
  expect(within.slice(0, 3)).toEqual(['pos_embed', 'cls_token', 'patch_embed.proj.weight']);
  expect(without).not.toContain('pos_embed');
  expect(without).toContain('patch_embed.proj.bias');
});

test('a group without parameters is left out; matrices named .bias are not decayed', () => {
  const one = ones([2, 2]);
  expect(decayGroups([['a.weight', one]], 0.1, [])).toEqual([
    { weightDecay: 0.1, parameters: [['a.weight', one]] },
  ]);
  expect(decayGroups([['a.bias', one]], 0.1, [])[0].weightDecay).toBe(0);
  // The exception is by whole name, not by its end.
  expect(decayGroups([['other.pos_embed', one]], 0.1, ['pos_embed'])[0].weightDecay).toBe(0.1);
});

const SHAPE = [2, 3];
const start = wave(6, 1);
const gradientAt = (step: number) => wave(6, 10 + step);
const groupOf = (parameter: Tensor): ParameterGroup[] => [
  { weightDecay: 0.1, parameters: [['p', parameter]] },
];

/** Muon updates only the matrices of blocks. */
const inBlock = (groups: readonly ParameterGroup[]) =>
  groups.map((group) => ({
    ...group,
    parameters: group.parameters.map(([name, parameter]) => [`blocks.0.${name}`, parameter] as const),
  }));

const rules: [string, (groups: readonly ParameterGroup[]) => Optimizer, string[]][] = [
  ['adamw', adamw, ['exp_avg.p', 'exp_avg_sq.p', 'step']],
  ['sgd', sgd, ['momentum_buffer.p', 'step']],
  ['lamb', (groups) => lamb(groups, { maxGradNorm: 1 }), ['exp_avg.p', 'exp_avg_sq.p', 'step']],
  ['lion', lion, ['exp_avg.p', 'step']],
  ['muon', (groups) => muonOfShare(inBlock(groups)), ['momentum_buffer.blocks.0.p', 'step']],
];

describe.each(rules)('%s', (_, make, names) => {
  const run = (parameter: Tensor, optimizer: Optimizer, from: number, to: number) => {
    for (let t = from; t < to; t++) {
      setGradient(parameter, gradientAt(t));
      optimizer.step(0.01);
    }
  };

  test('saved and loaded, it continues bit-identically', () => {
    const [straight, first, second] = [0, 1, 2].map(() => parameterOf(Float32Array.from(start), SHAPE));
    const [uninterruptedOptimizer, firstOptimizer] = [straight, first].map((p) => make(groupOf(p)));
    run(straight, uninterruptedOptimizer, 0, 7);
    run(first, firstOptimizer, 0, 3);
    const saved = firstOptimizer.state();
    expect([...saved.keys()].sort()).toEqual(names);
    // A step more: what was saved is a copy.
    run(first, firstOptimizer, 3, 4);

    run(second, make(groupOf(second)), 0, 3);
    const secondOptimizer = make(groupOf(second));
    secondOptimizer.load(saved);
    expect(secondOptimizer.state()).toEqual(saved);
    run(second, secondOptimizer, 3, 7);
    expect(second.toData()).toEqual(straight.toData());
    expect(secondOptimizer.state()).toEqual(uninterruptedOptimizer.state());
  });

  test('its state is freed by free(), and steps leave nothing behind', () => {
    const parameter = parameterOf(start, SHAPE);
    setGradient(parameter, gradientAt(0));
    const before = liveHandles();
    const optimizer = make(groupOf(parameter));
    expect(liveHandles()).toBe(before + names.length - 1);
    for (let i = 0; i < 3; i++) optimizer.step(0.1);
    optimizer.state();
    optimizer.load(optimizer.state());
    expect(liveHandles()).toBe(before + names.length - 1);
    optimizer.free();
    expect(liveHandles()).toBe(before);
  });

  test('a parameter without a gradient is an error that names it; no step is taken', () => {
    const [parameter, other] = [parameterOf(start, SHAPE), parameterOf(start, SHAPE)];
    const optimizer = make([...groupOf(parameter), { weightDecay: 0, parameters: [['other', other]] }]);
    setGradient(parameter, gradientAt(0));
    const before = optimizer.state();
    expect(() => optimizer.step(0.1)).toThrow(RunError);
    expect(() => optimizer.step(0.1)).toThrow('other has no gradient');
    expect(optimizer.state()).toEqual(before);
    expect([...parameter.toFloat64Array()]).toEqual([...start]);
  });

  test("a group's learning rate is the schedule's times its scale", () => {
    const [scaled, plain] = [parameterOf(start, SHAPE), parameterOf(start, SHAPE)];
    const [scaledGroup] = groupOf(scaled);
    const scaledOptimizer = make([{ ...scaledGroup, lrScale: 0.5 }]);
    const plainOptimizer = make(groupOf(plain));
    for (const [parameter, optimizer, lr] of [
      [scaled, scaledOptimizer, 0.2],
      [plain, plainOptimizer, 0.1],
    ] as const) {
      setGradient(parameter, gradientAt(0));
      optimizer.step(lr);
    }
    expect(scaled.toData()).toEqual(plain.toData());
    expect([...scaled.toFloat64Array()]).not.toEqual([...start]);
  });

  test('groups without parameters are ignored, but one must have some', () => {
    const parameter = parameterOf(start, SHAPE);
    const optimizer = make([{ weightDecay: 0, parameters: [] }, ...groupOf(parameter)]);
    run(parameter, optimizer, 0, 1);
    expect([...parameter.toFloat64Array()]).not.toEqual([...start]);
    expect(() => make([])).toThrow(InputError);
    expect(() => make([{ weightDecay: 0, parameters: [] }])).toThrow('no parameters to train');
  });
});

test('a state that does not fit is refused by name, and nothing changes', () => {
  const parameter = parameterOf(start, SHAPE);
  const optimizer = adamw(groupOf(parameter));
  const state = optimizer.state();
  setGradient(parameter, gradientAt(0));
  optimizer.step(0.1);
  const before = optimizer.state();
  expect(before).not.toEqual(state);
  const data = new Uint8Array(8);
  const without = (name: string) => new Map([...state].filter(([key]) => key !== name));
  const cases: [Parameters<typeof optimizer.load>[0], string][] = [
    [without('exp_avg.p'), 'the optimizer state has no exp_avg.p'],
    [without('step'), 'the optimizer state has no step'],
    [
      new Map([...state, ['exp_avg_sq.p', { dtype: 'F64', shape: [1], data }]]),
      'the optimizer state: exp_avg_sq.p has shape [1], but the model needs [2, 3]',
    ],
    [
      new Map([...state, ['exp_avg.q', { dtype: 'F64', shape: [1], data }]]),
      'the optimizer state contains the unknown tensor exp_avg.q',
    ],
    [
      new Map([...state, ['step', { dtype: 'F64', shape: [], data }]]),
      'the optimizer state: step is F64, not I64',
    ],
    [sgd(groupOf(parameter)).state(), 'the optimizer state has no exp_avg.p'],
  ];
  for (const [wrong, message] of cases) {
    expect(() => optimizer.load(wrong)).toThrow(InputError);
    expect(() => optimizer.load(wrong)).toThrow(message);
    expect(optimizer.state()).toEqual(before);
  }
});

test.each([{ weightDecay: Number.NaN }, { weightDecay: -0.1 }, { weightDecay: 0, lrScale: Number.NaN }])(
  'a group with %o is refused',
  (numbers) => {
    const call = () => adamw([{ ...numbers, parameters: [['a', ones([2])]] }]);
    expect(call).toThrow(InputError);
    expect(call).toThrow(/^(weightDecay|lrScale) is (NaN|-0.1)$/);
  },
);
