import { dirname, extname } from 'node:path';
import { InputError } from '../../base/errors.js';
import type { DType } from '../../base/tensor-data.js';
import { replaceFile, writeAll } from '../../files/file-bytes.js';
import { tensorsHeader } from '../../weights/safetensors/safetensors-header.js';
import type { FeatureBatch } from './image-features.js';
import { npyHeader } from './npy.js';
import { rowFile } from './row-file.js';

/** The files of an export, by content. */
interface FeaturePaths {
  readonly features: string;
  /** Absent if the images have no labels, or the file of features contains them. */
  readonly labels?: string;
}

/**
 * The files for features in `out`: a `.safetensors` file with `features` and `labels`, or two `.npy` files.
 * @throws InputError if the extension is another
 */
export function featurePaths(out: string, hasLabels: boolean): FeaturePaths {
  const extension = extname(out).toLowerCase();
  if (extension === '.safetensors') return { features: out };
  if (extension === '.npy') {
    const stem = out.slice(0, -extension.length);
    return { features: out, ...(hasLabels && { labels: `${stem}.labels.npy` }) };
  }
  throw new InputError(`--out ${out}: the name must end in .safetensors or .npy`, {
    hint: 'For example --out features.safetensors.',
  });
}

interface FeatureFile {
  add(batch: FeatureBatch): void;
  /** Writes the files. @returns the shape of the features */
  finish(metadata: Readonly<Record<string, string>>): readonly [images: number, width: number];
  /** Frees the temporary file. Call it in any case. */
  close(): void;
}

/** Writes features of images as they come. Memory has only their labels; the files appear complete, when `finish` is called. */
export function featureFile(out: string, hasLabels: boolean): FeatureFile {
  const paths = featurePaths(out, hasLabels);
  const file = rowFile(dirname(out));
  return {
    add: file.add,
    finish(metadata) {
      const { count, width, labels } = file.rows();
      const shape = [count, width] as const;
      const numbers = new Uint8Array(BigInt64Array.from(labels, BigInt).buffer);
      const isNpy = out.toLowerCase().endsWith('.npy');
      if (paths.labels !== undefined) {
        replaceFile(paths.labels, (descriptor) => {
          writeAll(descriptor, npyHeader('<i8', [count]));
          writeAll(descriptor, numbers);
        });
      }
      replaceFile(paths.features, (descriptor) => {
        writeAll(descriptor, isNpy ? npyHeader('<f4', shape) : safetensorsHead(shape, hasLabels, metadata));
        if (!isNpy && hasLabels) writeAll(descriptor, numbers);
        file.bytes((part) => writeAll(descriptor, part));
      });
      return shape;
    },
    close: file.close,
  };
}

/** The header of a file with `labels` (I64 [N], if there are any), then `features` (F32 [N, D]). */
function safetensorsHead(
  [count, width]: readonly [number, number],
  hasLabels: boolean,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const tensors = new Map<string, { readonly dtype: DType; readonly shape: readonly number[] }>();
  if (hasLabels) tensors.set('labels', { dtype: 'I64', shape: [count] });
  tensors.set('features', { dtype: 'F32', shape: [count, width] });
  return tensorsHeader(tensors, metadata).bytes;
}
