import type { Batch } from '../../data/loader/batch.js';
import { slice, to } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Task } from '../../training/task.js';
import type { Planar } from './image-sheet.js';

/** The labels that an image of a batch is trained towards, with their weights, without label smoothing. */
export function targetsOf({ labels, mix }: Batch, image: number): { label: number; weight: number }[] {
  const label = labels[image];
  const partner = labels[labels.length - 1 - image];
  if (mix === undefined || partner === label) return [{ label, weight: 1 }];
  return [
    { label, weight: mix.lambda },
    { label: partner, weight: 1 - mix.lambda },
  ];
}

/**
 * The first `shown` images of a batch as the model sees them, erased and mixed, with the normalisation reversed. Random
 * numbers for this come from the keys of the batch, so that no other random numbers change.
 */
export function seenImages(
  batch: Batch,
  shown: number,
  {
    task,
    mean,
    std,
  }: { readonly task: Task; readonly mean: readonly number[]; readonly std: readonly number[] },
): Planar {
  const size = Math.min(shown, batch.size);
  const { shape, values } = scope(() => {
    const { input } = task.prepare(batch);
    const first = to(slice(input, 0, 0, size), { dtype: 'F32', device: 'cpu' });
    return { shape: first.shape, values: first.toFloat32Array() };
  });
  const [, channels, height, width] = shape;
  const area = height * width;
  const images = Uint8Array.from(values, (value, at) => {
    const channel = Math.floor(at / area) % channels;
    return Math.min(255, Math.max(0, Math.round(255 * (value * std[channel] + mean[channel]))));
  });
  return { size, channels, height, width, images };
}
