import { auxiliaryCosts } from '../method/local/local-losses.js';
import type { Phase } from '../recipe/phase.js';

/** Cost of a phase's auxiliary heads for one image; 0 without local losses. */
interface AuxiliaryCost {
  readonly parameters: number;
  /** Multiply-accumulates of the forward pass. */
  readonly macs: number;
  /** Number of elements that are kept for the backward pass. */
  readonly activations: number;
  /** Most additional elements while a head is computed. */
  readonly workspace: number;
}

export function auxiliaryCost({ blueprint, depths, local }: Phase): AuxiliaryCost {
  const heads = local === undefined ? [] : auxiliaryCosts(blueprint, depths, local);
  const sum = (of: (head: (typeof heads)[number]) => number) =>
    heads.reduce((all, head) => all + of(head), 0);
  return {
    parameters: sum(({ parameters }) => parameters),
    macs: sum(({ macs }) => macs),
    activations: sum(({ activations }) => activations.trained),
    workspace: Math.max(0, ...heads.map(({ activations }) => activations.workspace)),
  };
}
