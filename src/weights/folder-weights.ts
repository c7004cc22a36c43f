/** Hugging Face's and timm's names of the weights in a model's folder, in order of preference. */
export const FOLDER_WEIGHTS = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
];

/** Whether a file is, by its name, an index of the shards that contain a model's tensors. */
export function isShardIndex(path: string): boolean {
  return /\.(safetensors|bin)\.index\.json$/.test(path);
}
