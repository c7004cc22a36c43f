import { InputError } from '../../base/errors.js';

/**
 * Refuses a model with a decoder where only classifiers are supported.
 * @param what cannot be done with it: `be exported as ONNX`
 * @throws InputError if it labels pixels or finds objects
 */
export function requireClassifier(
  { decoder, detector }: { readonly decoder?: unknown; readonly detector?: unknown },
  source: string,
  what: string,
): void {
  if (decoder === undefined && detector === undefined) return;
  const does = detector === undefined ? 'labels pixels' : 'finds objects';
  throw new InputError(`${source} ${does} (model.decoder), and such a model cannot ${what}`, {
    hint: 'use it with eval and predict, and as start.model of a recipe; its tensors are in model.safetensors of the checkpoint',
  });
}

/** @throws InputError if a model cannot be written as ONNX, because it finds objects */
export function requireExportable({ detector }: { readonly detector?: unknown }, source: string): void {
  requireClassifier({ detector }, source, 'be exported as ONNX');
}
