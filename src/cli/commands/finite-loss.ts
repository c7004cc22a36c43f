import { RunError } from '../../base/errors.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import { largestWeight } from '../../models/model-file/non-finite.js';

/** A non-finite loss makes every metric meaningless: the first class would always win. */
export function requireFiniteLoss(loss: number, { file, name }: CheckpointFile): void {
  if (Number.isFinite(loss)) return;
  const largest = largestWeight(file.stages);
  const of = largest ? `; the largest weight is ${largest.value.toExponential(1)}, in ${largest.name}` : '';
  throw new RunError(`${name}: the loss is not finite (${loss}), although all weights are${of}`, {
    hint: 'the training diverged: use an earlier checkpoint; with bfloat16, try float32',
  });
}
