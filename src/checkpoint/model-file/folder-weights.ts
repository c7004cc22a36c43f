/** The names that Hugging Face and timm give to the weights in a model's folder, the best first. */
export const FOLDER_WEIGHTS = ['model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin'];

/** Whether a file, by its name, tells in which files beside it a model's tensors are. */
export function isShardIndex(path: string): boolean {
  return path.endsWith('.safetensors.index.json');
}
