import { writeAll } from './file-bytes.js';

/** A file to add to a tar archive: `write` writes its `size` bytes at the descriptor's current position. */
export interface TarFile {
  readonly name: string;
  readonly size: number;
  write(descriptor: number): void;
}

const BLOCK = 512;

/**
 * Writes a tar archive (POSIX.1-1988 ustar) of regular files. The same files give the same bytes. Names are ASCII of at
 * most 100 characters.
 */
export function writeTar(descriptor: number, files: readonly TarFile[]): void {
  for (const file of files) {
    writeAll(descriptor, header(file));
    file.write(descriptor);
    writeAll(descriptor, Buffer.alloc((BLOCK - (file.size % BLOCK)) % BLOCK));
  }
  writeAll(descriptor, Buffer.alloc(2 * BLOCK));
}

function header({ name, size }: TarFile): Buffer {
  if (!/^[\x20-\x7e]{1,100}$/.test(name))
    throw new RangeError(`${name} is not a valid name in a tar archive`);
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0);
  block.write('0000644\0' + '0000000\0' + '0000000\0', 100, 'latin1');
  if (size < 8 ** 11) block.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  else {
    // GNU's binary format for sizes of 8 GiB and more.
    block.writeBigUInt64BE(BigInt(size), 128);
    block[124] = 0x80;
  }
  block.write('00000000000\0', 136, 'latin1');
  block.write('0', 156);
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
