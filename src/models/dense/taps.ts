import type { Module } from '../../nn/module.js';
import { concat, permute, reshape, slice } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import { type BlockPlace, Layer, type Pass } from '../staged.js';
import { NECK_SCALES } from './decoder-config.js';

/**
 * The tap maps [B, D, h, w] of a state [B, T N, D] that the last block returns.
 * @param image `size`: height and width in pixels; default square
 */
export function tapMaps(
  state: Tensor,
  { patchSize, size }: { readonly patchSize: number; readonly size?: Pass['size'] },
): Tensor[] {
  const [batch, tokens, width] = state.shape;
  const patches = tokens / NECK_SCALES.length;
  const [rows, columns] = gridOfPatches(patches, { patchSize, size });
  return NECK_SCALES.map((_, i) => {
    const tap = slice(state, 1, i * patches, (i + 1) * patches);
    return reshape(permute(tap, [0, 2, 1]), [batch, width, rows, columns]);
  });
}

/** Rows and columns of `patches` patches. */
export function gridOfPatches(
  patches: number,
  { patchSize, size }: { readonly patchSize: number; readonly size?: Pass['size'] },
): [rows: number, columns: number] {
  if (size !== undefined) return [size[0] / patchSize, size[1] / patchSize];
  const side = Math.round(Math.sqrt(patches));
  return [side, side];
}

interface TapPlan {
  /** Blocks of the undivided model whose outputs are tapped, ascending. */
  readonly taps: readonly number[];
  /** Number of tokens before the patch tokens, which are not tapped. */
  readonly prefix: number;
}

/**
 * A block of a model whose head reads the outputs of several blocks. The features [B, P + N, D] that flow from block to block
 * carry the N patch tokens of each tap so far behind them: [B, P + N + t N, D]. They are one tensor, so a tap in another stage,
 * frozen or not, needs no special treatment. A block that replaces several blocks of the undivided model stands for all
 * their taps. The last block returns only the taps, [B, T N, D].
 */
class TappedBlock extends Layer {
  readonly block: Layer;
  readonly #prefix: number;
  /** Number of taps before this block. */
  readonly #before: number;
  /** How often its output is tapped. */
  readonly #own: number;
  readonly #isLast: boolean;

  constructor(block: Layer, { taps, prefix }: TapPlan, { from, to, isLast }: BlockPlace) {
    super();
    this.block = block;
    this.#prefix = prefix;
    this.#before = taps.filter((tap) => tap < from).length;
    this.#own = taps.filter((tap) => from <= tap && tap < to).length;
    this.#isLast = isLast;
  }

  forward(state: Tensor, pass: Pass): Tensor {
    if (this.#before === 0 && this.#own === 0) return this.block.forward(state, pass);
    const patches = (state.shape[1] - this.#prefix) / (this.#before + 1);
    const tokens = this.#prefix + patches;
    const x = this.#before === 0 ? state : slice(state, 1, 0, tokens);
    const y = this.block.forward(x, pass);
    const taps = this.#before === 0 ? [] : [slice(state, 1, tokens)];
    const own = Array.from({ length: this.#own }, () => slice(y, 1, this.#prefix));
    return concat([...(this.#isLast ? [] : [y]), ...taps, ...own], 1);
  }

  /** The parameters have the names of the block's own. */
  override namedModules(prefix = ''): Iterable<[string, Module]> {
    return this.block.namedModules(prefix);
  }
}

/** A block with the taps of its place. */
export function tapped(block: Layer, plan: TapPlan, place: BlockPlace): Layer {
  return new TappedBlock(block, plan, place);
}

/** The block that `tapped` was given. */
export function untapped(block: Layer): Layer {
  return block instanceof TappedBlock ? block.block : block;
}
