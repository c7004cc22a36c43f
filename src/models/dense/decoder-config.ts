import { InputError } from '../../base/errors.js';

/**
 * UperNet (Xiao et al. 2018) on four maps of a backbone. `multilevel`: mmsegmentation's neck for plain transformers.
 * `deconv`: BEiT's neck.
 */
export interface UperNetConfig {
  readonly neck: 'multilevel' | 'deconv';
  /**
   * Blocks of the backbone whose outputs are decoded, counted from 0, ascending. The last one is the last block. In a meta model,
   * one block may stand for several taps.
   */
  readonly taps: readonly number[];
  /** Channels of the decoder. */
  readonly channels: number;
  /** Which tap the auxiliary head reads, from 0. */
  readonly auxTap: number;
  readonly auxChannels: number;
  /** Share of the channels that are dropped before a classifier, in training. */
  readonly dropout: number;
}

/** Factors of the neck's maps: map i has this factor times the backbone's grid. */
export const NECK_SCALES = [4, 2, 1, 0.5] as const;

/** Sizes of the pooled maps of the pyramid pooling module. */
export const POOL_SIZES = [1, 2, 3, 6] as const;

export type Size = readonly [height: number, width: number];

/** The size of a neck's map for a backbone with this grid: at least 1, also for an image of one row of patches. */
export function mapSize([height, width]: Size, map: number): Size {
  const scale = NECK_SCALES[map];
  return [Math.max(1, Math.floor(height * scale)), Math.max(1, Math.floor(width * scale))];
}

/** @throws InputError naming the key that is invalid for a backbone of `depth` blocks */
export function requireDecoder({ taps, auxTap }: UperNetConfig, depth: number, source: string): void {
  requireTaps(taps, depth, source);
  if (auxTap in NECK_SCALES) return;
  throw new InputError(`${source}: model.decoder.aux_tap ${auxTap}: expected 0 to ${NECK_SCALES.length - 1}`);
}

/** @throws InputError unless the taps are four ascending blocks, of which the last is the last block */
export function requireTaps(taps: readonly number[], depth: number, source: string): void {
  const isAscending = taps.every((tap, i) => tap < depth && (i === 0 || tap >= taps[i - 1]));
  if (taps.length !== NECK_SCALES.length || !isAscending || taps.at(-1) !== depth - 1) {
    throw new InputError(
      `${source}: model.decoder.taps [${taps.join(', ')}]: expected ${NECK_SCALES.length} ascending blocks, of which the last is ${depth - 1}`,
      {
        hint: `the model has the blocks 0 to ${depth - 1}; a usual choice is [${defaultTaps(depth).join(', ')}]`,
      },
    );
  }
}

/** The last block of each quarter of the model. */
export function defaultTaps(depth: number): number[] {
  return NECK_SCALES.map((_, i) => Math.round(((i + 1) * depth) / NECK_SCALES.length) - 1);
}

/** A decoder with the size of its backbone's patches, in pixels. */
export interface PatchDecoder {
  readonly decoder: UperNetConfig;
  readonly patchSize: number;
}

/** The decoder of a model; undefined if it does not label pixels. */
export function decoderOf(config: object): PatchDecoder | undefined {
  const { decoder, patchSize } = config as Partial<PatchDecoder>;
  return decoder && patchSize ? { decoder, patchSize } : undefined;
}

/** The blocks whose outputs the head of a model reads; undefined if it is a classifier. */
export function tapsOf(config: object): readonly number[] | undefined {
  const { decoder, detector } = config as Partial<
    Record<'decoder' | 'detector', Pick<UperNetConfig, 'taps'>>
  >;
  return (decoder ?? detector)?.taps;
}

/** The block of a meta model or hybrid that stands for each tap. */
export function tapsIn(
  taps: readonly number[],
  stages: readonly (readonly { readonly from: number; readonly to: number }[])[],
): number[] {
  const spans = stages.flat();
  return taps.map((tap) => spans.findIndex(({ from, to }) => from <= tap && tap < to));
}
