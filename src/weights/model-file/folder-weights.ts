/** The names that Hugging Face and timm give to the weights in a model's folder, in the order of preference. */
export const FOLDER_WEIGHTS = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
];

/** Whether a file, by its name, lists the files beside it that hold a model's tensors. */
export function isShardIndex(path: string): boolean {
  return /\.(safetensors|bin)\.index\.json$/.test(path);
}
