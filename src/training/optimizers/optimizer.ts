import { InputError, RunError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { noGrad } from '../../torch/autograd.js';
import { zeros } from '../../torch/ops.js';
import { keep, scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';
import { loadState, saveState } from './kept-state.js';

/** Updates parameters from their gradients. Its state lives until `free()`. */
export interface Optimizer {
  /**
   * Makes one update with learning rate `lr`, from the parameters' accumulated gradients, which it does not change.
   * @param skip F32 of one element on the parameters' device: if it is 1, parameters and state keep their values. Only if
   *   `canSkip`.
   * @throws RunError naming a parameter without a gradient; nothing is changed then
   */
  step(lr: number, skip?: Tensor): void;
  /** Whether `step` supports `skip`. A wrapper that does not pass `skip` on must set it to false. */
  readonly canSkip?: boolean;
  /** The state by name (`exp_avg.<parameter>`), for a checkpoint. */
  state(): Map<string, TensorData>;
  /**
   * Resumes from a saved state.
   * @throws InputError naming a tensor that is missing, left over or has the wrong shape; nothing is changed then
   */
  load(state: ReadonlyMap<string, TensorData>): void;
  free(): void;
}

/** Parameters that share a weight decay and a learning rate. */
export interface ParameterGroup {
  readonly weightDecay: number;
  /** Factor for the schedule's learning rate. Default 1. */
  readonly lrScale?: number;
  readonly parameters: readonly (readonly [name: string, parameter: Tensor])[];
}

/**
 * The official groups (timm's create_optimizer): no decay for vectors, for names that end in `.bias`, and for
 * `undecayed` names (matched without their `stages.<i>.` prefix); `weightDecay` for everything else.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const [free, decayed] = decayGroups(model.trainedParameters(), 0.05, tiny.undecayed);
 * console.log(free.weightDecay, decayed.weightDecay); // 0, 0.05
 */
export function decayGroups(
  parameters: readonly (readonly [name: string, parameter: Tensor])[],
  weightDecay: number,
  undecayed: readonly string[] = [],
): ParameterGroup[] {
  const isUndecayed = ([name, parameter]: readonly [string, Tensor]) =>
    parameter.shape.length === 1 ||
    name.endsWith('.bias') ||
    undecayed.includes(name.replace(/^stages\.\d+\./, ''));
  return [
    { weightDecay: 0, parameters: parameters.filter(isUndecayed) },
    { weightDecay, parameters: parameters.filter((entry) => !isUndecayed(entry)) },
  ].filter((group) => group.parameters.length > 0);
}

/** The part that differs between optimisers: the state they keep, and the update. */
export interface Rule {
  /** The state per parameter: tensors of the parameter's shape and dtype, zero before the first step. */
  readonly slots: readonly string[];
  /** Whether `update` supports `skip`. Default false. */
  readonly canSkip?: boolean;
  /**
   * Makes update number `step`, counted from 1. It runs without gradient recording; tensors that it makes are freed.
   * @param skip see `Optimizer.step`; null: no
   */
  update(groups: readonly UpdateGroup[], step: number, skip: Tensor | null): void;
}

/** A group as it is passed to a rule; all lists have the same order. */
interface UpdateGroup {
  readonly parameters: readonly Tensor[];
  /** Read-only: a rule must not change them. */
  readonly gradients: readonly Tensor[];
  /** One list for each of the rule's slots. */
  readonly slots: readonly (readonly Tensor[])[];
  /** The group's learning rate, with `lrScale` applied. */
  readonly lr: number;
  readonly weightDecay: number;
}

/**
 * Makes an optimiser from its rule.
 * @throws InputError if there are no parameters, or a group's `weightDecay` or `lrScale` is invalid
 */
export function optimizerFrom(groups: readonly ParameterGroup[], rule: Rule): Optimizer {
  return combined([{ groups, rule }]);
}

/**
 * Makes one optimiser from several rules, each for its own groups. The rules share one state and one number of steps.
 * @throws InputError if there are no parameters, or a group's `weightDecay` or `lrScale` is invalid
 */
export function combined(
  parts: readonly { readonly groups: readonly ParameterGroup[]; readonly rule: Rule }[],
): Optimizer {
  const made = parts
    .map(({ groups, rule }) => {
      const filled = groups.filter(({ parameters }) => parameters.length > 0);
      return { rule, groups: filled.map((group) => prepare(group, rule)) };
    })
    .filter(({ groups }) => groups.length > 0);
  if (made.length === 0) {
    throw new InputError('no parameters to train', { hint: 'freeze fewer parameters' });
  }
  const tensors = made.flatMap(({ groups }) => groups.flatMap(({ kept }) => kept));
  const kept = { title: 'optimizer state', steps: 'step', tensors };
  let steps = 0;

  return {
    canSkip: made.every(({ rule }) => rule.canSkip ?? false),
    step(lr, skip) {
      scope(() => {
        const ready = made.map(({ rule, groups }) => ({
          rule,
          groups: groups.map((each) => withGradients(each, lr)),
        }));
        steps += 1;
        noGrad(() => {
          for (const { rule, groups } of ready) rule.update(groups, steps, skip ?? null);
        });
      });
    },
    state: () => saveState(kept, steps),
    load(state) {
      steps = loadState(kept, state);
    },
    free() {
      for (const [, tensor] of kept.tensors) tensor.free();
    },
  };
}

/** @throws RunError naming a parameter without a gradient */
function withGradients(prepared: ReturnType<typeof prepare>, lr: number): UpdateGroup {
  const { names, parameters, slots, weightDecay, lrScale } = prepared;
  const gradients = parameters.map((parameter, i) => gradientOf(names[i], parameter));
  return { parameters, gradients, slots, weightDecay, lr: lr * lrScale };
}

function prepare({ weightDecay, lrScale = 1, parameters: named }: ParameterGroup, rule: Rule) {
  for (const [name, value] of Object.entries({ weightDecay, lrScale })) {
    if (!Number.isFinite(value) || value < 0) {
      throw new InputError(`${name} is ${value}`, { hint: 'it must be a number, at least 0' });
    }
  }
  const names = named.map(([name]) => name);
  const parameters = named.map(([, parameter]) => parameter);
  const slots = rule.slots.map(() =>
    parameters.map(({ shape, dtype, device }) => keep(zeros(shape, dtype, device))),
  );
  const kept = names.flatMap((name, i) =>
    rule.slots.map((slot, s): [name: string, tensor: Tensor] => [`${slot}.${name}`, slots[s][i]]),
  );
  return { names, parameters, slots, kept, weightDecay, lrScale };
}

function gradientOf(name: string, parameter: Tensor): Tensor {
  const gradient = parameter.grad;
  if (gradient === null) throw new RunError(`${name} has no gradient: the loss does not depend on it`);
  return gradient;
}
