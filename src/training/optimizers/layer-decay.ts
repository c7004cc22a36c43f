import { RunError } from '../../base/errors.js';
import type { Tensor } from '../../torch/tensor.js';
import type { ParameterGroup } from './optimizer.js';

/** A block's name: `stages.1.blocks.0`, possibly without the stage or with another prefix. */
const BLOCK = /^(?:.*?\.)?blocks\.\d+(?=\.)/;

/** The block that a parameter belongs to, by its name; undefined for parameters of stem and head. */
export function blockOf(name: string): string | undefined {
  return BLOCK.exec(name)?.[0];
}

/**
 * Layer-wise learning-rate decay (BEiT, Bao et al. 2022; MAE; timm): splits each group by layer, in the order of its
 * parameters, and multiplies the learning rate by decay^(L + 1 - layer). With L blocks, the stem is layer 0, block j (counted
 * from 0 over the whole model) is layer j + 1, and the final norm and head are layer L + 1.
 *
 * @param names the names of all the model's parameters, including frozen ones, in the model's order: parameters before the
 *   first block belong to the stem; parameters after a block are one layer above it
 * @throws RunError if `names` does not contain a parameter of `groups`
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const groups = decayGroups(model.trainedParameters(), 0.05);
 * const names = [...model.namedParameters()].map(([name]) => name);
 * layerDecayGroups(groups, names, 0.75).map(({ lrScale }) => lrScale);
 */
export function layerDecayGroups(
  groups: readonly ParameterGroup[],
  names: Iterable<string>,
  decay: number,
  {
    backbone = 1,
  }: {
    /** Another factor for all layers below the head. */
    readonly backbone?: number;
  } = {},
): ParameterGroup[] {
  const { layers, top } = layersOf(names);
  return groups.flatMap(({ weightDecay, lrScale = 1, parameters }) =>
    byLayer(parameters, layers).map(([layer, members]) => ({
      weightDecay,
      lrScale: lrScale * decay ** (top - layer) * (layer < top ? backbone : 1),
      parameters: members,
    })),
  );
}

function layersOf(names: Iterable<string>): { layers: ReadonlyMap<string, number>; top: number } {
  const layers = new Map<string, number>();
  const blocks = new Set<string>();
  for (const name of names) {
    const block = blockOf(name);
    if (block !== undefined) blocks.add(block);
    layers.set(name, block !== undefined || blocks.size === 0 ? blocks.size : blocks.size + 1);
  }
  return { layers, top: blocks.size + 1 };
}

type Named = readonly [name: string, parameter: Tensor];

function byLayer(parameters: readonly Named[], layers: ReadonlyMap<string, number>): [number, Named[]][] {
  const members = new Map<number, Named[]>();
  for (const entry of parameters) {
    const layer = layers.get(entry[0]);
    if (layer === undefined) throw new RunError(`${entry[0]} is not a parameter of the model`);
    const known = members.get(layer);
    if (known === undefined) members.set(layer, [entry]);
    else known.push(entry);
  }
  return [...members];
}
