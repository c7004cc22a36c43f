import { InputError } from '../../base/errors.js';

/** Tags of a TIFF's first directory (TIFF 6.0). */
interface Tags {
  readonly compression: number;
  readonly photometric: number;
  readonly samples: number;
  readonly bits: number;
}

const TAGS = new Map<number, keyof Tags>([
  [258, 'bits'],
  [259, 'compression'],
  [262, 'photometric'],
  [277, 'samples'],
]);

/** Compressions that are not supported. All others are: none, CCITT, LZW, JPEG, Deflate, PackBits. */
const COMPRESSIONS = new Map([
  [34925, 'LZMA'],
  [50000, 'Zstandard'],
  [50001, 'WebP'],
  [34887, 'LERC'],
  [6, 'old JPEG'],
]);
const JPEG = 7;
const CMYK = 5;
const YCBCR = 6;
const LAB = 8;

/**
 * Whether a TIFF is 16-bit grey.
 *
 * @throws InputError if the TIFF is not supported because its pixels would differ from Pillow's.
 */
export function isGrey16Tiff(bytes: Uint8Array): boolean {
  const { compression, photometric, samples, bits } = tagsOf(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
  );
  const name = COMPRESSIONS.get(compression);
  if (name !== undefined) throw notRead(`${name} compression`);
  if (photometric === CMYK) throw notRead('CMYK colours');
  if (photometric === LAB) throw notRead('Lab colours');
  if (photometric === YCBCR && compression !== JPEG) throw notRead('YCbCr colours without JPEG compression');
  return bits === 16 && samples === 1;
}

function notRead(what: string): InputError {
  return new InputError(`a TIFF with ${what}, which is not supported`);
}

function tagsOf(file: Buffer): Tags {
  const isLittle = file[0] === 0x49;
  const number = (at: number, size: number) => {
    if (at + size > file.length) throw new InputError('truncated');
    return isLittle ? file.readUIntLE(at, size) : file.readUIntBE(at, size);
  };
  if (number(2, 2) !== 42) throw notRead('the BigTIFF layout');
  const tags = { compression: 1, photometric: 1, samples: 1, bits: 1 };
  const directory = number(4, 4);
  const count = number(directory, 2);
  for (let i = 0; i < count; i++) {
    const entry = directory + 2 + 12 * i;
    const key = TAGS.get(number(entry, 2));
    if (key === undefined) continue;
    const [type, values] = [number(entry + 2, 2), number(entry + 4, 4)];
    // Reads the first value; if there are several, all are equal. Values of more than four bytes are stored elsewhere.
    const at = type === 3 && values > 2 ? number(entry + 8, 4) : entry + 8;
    tags[key] = type === 4 ? number(at, 4) : number(at, 2);
  }
  return tags;
}
