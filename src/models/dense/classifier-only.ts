import { InputError } from '../../base/errors.js';

/**
 * Refuses a model with a decoder where only classifiers are supported.
 * @param isDecoder whether the model has a decoder
 * @param what cannot be done with it: `be exported as ONNX`
 * @throws InputError if it has one
 */
export function requireClassifier(isDecoder: boolean, source: string, what: string): void {
  if (!isDecoder) return;
  throw new InputError(`${source} labels pixels (model.decoder), and such a model cannot ${what}`, {
    hint: 'use it with eval and predict, and as start.model of a recipe; its tensors are in model.safetensors of the checkpoint',
  });
}
