import { tapsOf } from '../dense/decoder-config.js';
import { decoderCost } from '../dense/decoder-cost.js';
import { detectorCost } from '../detection/detector-cost.js';
import { convolution, linearTensors, normTensors, partCost, vector } from '../part-cost.js';
import type { BlockActivations, BlockCost, Blueprint, TensorCost } from '../staged.js';
import {
  hiddenWidth,
  isMeanPooled,
  prefixTokens,
  slotCount,
  tokenCount,
  type VitConfig,
  windowOf,
} from './config.js';

/**
 * Norms keep their inputs, and trained projections keep the norms' outputs. Attention keeps queries, keys, values, its output
 * and one log-sum per head. GELU keeps its input, and the second projection keeps GELU's output. Frozen projections do not keep
 * their inputs.
 */
function vitActivations(config: VitConfig, window: number | undefined): BlockActivations {
  const { width: D, heads, layerScale, qkNorm } = config;
  const N = tokenCount(config);
  const hidden = hiddenWidth(config);
  // A trained LayerScale keeps its input.
  const scales = layerScale === undefined ? 0 : 2 * N * D;
  // Norms of queries and keys keep their inputs, and attention their outputs.
  const normed = qkNorm ? N * (2 * D + 4 * heads) : 0;
  // Windows are padded after the projection.
  const padding = (attendedTokens(config, window) - N) * (3 * D + D + heads);
  const frozen = N * (D + 3 * D + D + D + hidden + heads + 4) + normed + padding;
  return {
    suffix: frozen,
    trained: frozen + N * (D + D + hidden) + scales,
    input: N * D,
    // The last block computes only keys and values, and the inputs that they need, for all tokens.
    ...(!isMeanPooled(config) &&
      !tapsOf(config) && {
        lastSpares: {
          suffix: frozen - 3 * N * D,
          trained: frozen + N * (D + D + hidden) + scales - 4 * N * D,
        },
      }),
    workspace: N * (2 * D + 2 * hidden),
  };
}

/** A block whose input also carries `elements` numbers of taps: the norm keeps all of it. */
function carrying(block: BlockCost, elements: number): BlockCost {
  const { activations } = block;
  if (elements === 0 || activations === undefined) return block;
  const { trained, suffix, input } = activations;
  return {
    ...block,
    activations: {
      ...activations,
      trained: trained + elements,
      suffix: suffix + elements,
      input: input + elements,
    },
  };
}

/** MACs = L(12 N D^2 + 2 N^2 D) + n C p^2 D + classes D, generalised to any MLP ratio and to both heads. */
export function vitCost(config: VitConfig): Blueprint['cost'] {
  const { width: D } = config;
  const N = tokenCount(config);
  const { macs, ...rest } = partCost(blockTensors(config));
  const blockOf = (window: number | undefined): BlockCost => {
    const keys = window === undefined ? N : window ** 2;
    // The products of queries, keys and values have no parameters, so they are added here.
    const products = 2 * attendedTokens(config, window) * keys * D;
    return { ...rest, macs: macs + products, activations: vitActivations(config, window) };
  };
  const taps = tapsOf(config) ?? [];
  return {
    tokens: N,
    stem: partCost(stemTensors(config)),
    block: (span) =>
      carrying(blockOf(windowOf(config, span)), taps.filter((tap) => tap < span.from).length * N * D),
    head: headCost(config),
  };
}

/** Number of tokens of an image, with the padding of the windows. */
function attendedTokens(config: VitConfig, window: number | undefined): number {
  if (window === undefined) return tokenCount(config);
  const grid = config.imageSize / config.patchSize;
  return (Math.ceil(grid / window) * window) ** 2;
}

function headCost(config: VitConfig): BlockCost {
  const { decoder, detector, imageSize } = config;
  if (detector) return detectorCost({ ...config, detector }, imageSize);
  return decoder ? decoderCost({ ...config, decoder }, imageSize) : partCost(headTensors(config));
}

function stemTensors(config: VitConfig): Record<string, TensorCost> {
  const { width: D, channels, patchSize, classToken, distilled, registers = 0 } = config;
  const N = tokenCount(config);
  const uses = N - prefixTokens(config);
  return {
    pos_embed: vector(slotCount(config) * D),
    ...(classToken && { cls_token: vector(D) }),
    ...(distilled && { dist_token: vector(D) }),
    ...(registers > 0 && { reg_token: vector(registers * D) }),
    'patch_embed.proj.weight': convolution(channels * patchSize * patchSize, D, uses),
    'patch_embed.proj.bias': vector(D),
  };
}

function blockTensors(config: VitConfig): Record<string, TensorCost> {
  const { width: D, heads, qkvBias, layerScale, qkNorm } = config;
  const scale = (name: string) => (layerScale === undefined ? {} : { [`${name}.gamma`]: vector(D) });
  const norm = normCost(config);
  const uses = tokenCount(config);
  const hidden = hiddenWidth(config);
  return {
    ...norm('norm1', D),
    ...linearTensors('attn.qkv', D, 3 * D, { uses, hasBias: qkvBias }),
    ...(qkNorm && { ...norm('attn.q_norm', D / heads), ...norm('attn.k_norm', D / heads) }),
    ...linearTensors('attn.proj', D, D, { uses }),
    ...scale('ls1'),
    ...norm('norm2', D),
    ...linearTensors('mlp.fc1', D, hidden, { uses }),
    ...linearTensors('mlp.fc2', hidden, D, { uses }),
    ...scale('ls2'),
  };
}

function normCost({ norm }: VitConfig): (name: string, width: number) => Record<string, TensorCost> {
  return norm === 'rms' ? (name, width) => ({ [`${name}.weight`]: vector(width) }) : normTensors;
}

function headTensors(config: VitConfig): Record<string, TensorCost> {
  const { width: D, classes, distilled, fcNorm } = config;
  return {
    ...normCost(config)(fcNorm ? 'fc_norm' : 'norm', D),
    ...linearTensors('head', D, classes, { uses: 1 }),
    ...(distilled && linearTensors('head_dist', D, classes, { uses: 1 })),
  };
}
