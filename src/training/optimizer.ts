import type { TensorData } from '../base/tensor-data.js';
import type { Tensor } from '../torch/tensor.js';

/** Changes parameters by their gradients. Its state lives until `free()`. */
export interface Optimizer {
  /** One update with learning rate `lr`, from the parameters' accumulated gradients, which it leaves alone. */
  step(lr: number): void;
  /** The state by name (`exp_avg.<parameter>`), for a checkpoint. */
  state(): Map<string, TensorData>;
  /**
   * Goes on from a state.
   * @throws InputError naming a tensor that is missing, left over or of another shape; nothing has changed then
   */
  load(state: ReadonlyMap<string, TensorData>): void;
  free(): void;
}

/** Parameters that share a weight decay. */
export interface ParameterGroup {
  readonly weightDecay: number;
  readonly parameters: readonly (readonly [name: string, parameter: Tensor])[];
}

/**
 * The official groups (timm's create_optimizer): no decay for vectors, for names that end in `.bias`, and for
 * `undecayed` names (matched without their `stages.<i>.` prefix); `weightDecay` for everything else.
 */
export function decayGroups(
  parameters: readonly (readonly [name: string, parameter: Tensor])[],
  weightDecay: number,
  undecayed: readonly string[],
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
