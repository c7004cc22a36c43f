import type { Batch } from '../../data/dataset.js';
import { copyInto, slice, zeros } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';

/** Sets the padding of normalised images to 0, the mean colour. */
export function clearPadding(input: Tensor, { extents, height, width }: Batch): void {
  if (extents === undefined) return;
  const clear = (part: Tensor) => copyInto(part, zeros(part.shape, part.dtype, part.device));
  for (let slot = 0; slot < extents.length / 2; slot++) {
    const [rows, columns] = [extents[2 * slot], extents[2 * slot + 1]];
    const image = slice(input, 0, slot, slot + 1);
    if (rows < height) clear(slice(image, 2, rows));
    if (columns < width) clear(slice(image, 3, columns));
  }
}
