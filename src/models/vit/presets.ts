/** Published ViT geometries. A recipe's `model` can override individual fields. */
export const VIT_PRESETS = {
  'vit-tiny': { width: 192, depth: 12, heads: 3, patch_size: 16, qkv_bias: true, layer_norm_eps: 1e-6 },
  'vit-small': { width: 384, depth: 12, heads: 6, patch_size: 16, qkv_bias: true, layer_norm_eps: 1e-6 },
  'vit-base': { width: 768, depth: 12, heads: 12, patch_size: 16, qkv_bias: true, layer_norm_eps: 1e-6 },
  'vit-large': { width: 1024, depth: 24, heads: 16, patch_size: 16, qkv_bias: true, layer_norm_eps: 1e-6 },
  // Patch size 14, no qkv bias and PyTorch's default eps, as in the official ViT-H.
  'vit-huge': { width: 1280, depth: 32, heads: 16, patch_size: 14, qkv_bias: false, layer_norm_eps: 1e-5 },
  // The paper's CIFAR models: DeiT-T's width on 32 px images, 65 tokens.
  'deit-tiny-32': { width: 192, depth: 32, heads: 3, patch_size: 4, qkv_bias: true, layer_norm_eps: 1e-6 },
  'deit-tiny-128': { width: 192, depth: 128, heads: 3, patch_size: 4, qkv_bias: true, layer_norm_eps: 1e-6 },
} as const;

export type VitPreset = keyof typeof VIT_PRESETS;
export const PRESET_NAMES = Object.keys(VIT_PRESETS) as [VitPreset, ...VitPreset[]];
