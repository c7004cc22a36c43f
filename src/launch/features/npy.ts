/** Element types of NumPy arrays that are written here. */
type NpyType = '<f4' | '<i8';

/**
 * The header of a `.npy` file, format version 1.0: the data follow in C order.
 * Source: numpy.lib.format.
 */
export function npyHeader(type: NpyType, shape: readonly number[]): Uint8Array {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${sizes}), }`;
  // Magic, version, length and text together are a multiple of 64 bytes, padded with spaces before a newline.
  const total = Math.ceil((10 + text.length + 1) / 64) * 64;
  const bytes = Buffer.alloc(total, ' ');
  bytes.write('\x93NUMPY\x01\x00', 'latin1');
  bytes.writeUInt16LE(total - 10, 8);
  bytes.write(text, 10, 'latin1');
  bytes.write('\n', total - 1, 'latin1');
  return bytes;
}
