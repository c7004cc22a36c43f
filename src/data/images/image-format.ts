/** The supported image formats. */
export type ImageFormat = 'JPEG' | 'PNG' | 'WebP' | 'GIF' | 'BMP' | 'TIFF';

interface Kind {
  /** Whether the start of a file, decoded as Latin-1, has this format. */
  readonly begins: (start: string) => boolean;
  readonly named: RegExp;
}

const KINDS: Readonly<Record<ImageFormat, Kind>> = {
  JPEG: { begins: startsWith('\xff\xd8\xff'), named: /\.(jpe?g|jfif|jpe)$/i },
  PNG: { begins: startsWith('\x89PNG\r\n\x1a\n'), named: /\.png$/i },
  WebP: { begins: (start) => isRiff(start, 'WEBP'), named: /\.webp$/i },
  GIF: { begins: startsWith('GIF87a', 'GIF89a'), named: /\.gif$/i },
  BMP: { begins: startsWith('BM'), named: /\.bmp$/i },
  TIFF: { begins: startsWith('II*\0', 'MM\0*', 'II+\0', 'MM\0+'), named: /\.tiff?$/i },
};

/** Names of files that are treated as images. */
export const IMAGE_FILE = /\.(png|jpe?g|jfif|jpe|webp|bmp|gif|tiff?)$/i;

/** The format of the content; undefined if it is not supported. */
export function imageFormatOf(bytes: Uint8Array): ImageFormat | undefined {
  const start = latin1(bytes, 16);
  return (Object.keys(KINDS) as ImageFormat[]).find((format) => KINDS[format].begins(start));
}

/** Whether `name` has an extension of the format. */
export function isNamedAs(format: ImageFormat, name: string): boolean {
  return KINDS[format].named.test(name);
}

/** Other content that files with image names can have; the first match applies. */
const OTHERS: readonly (readonly [what: string, begins: (start: string) => boolean])[] = [
  [
    'a Git LFS pointer; `git lfs pull` downloads the image',
    startsWith('version https://git-lfs.github.com/'),
  ],
  ['an HTML page', matches(/^\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)\b/is)],
  ['an SVG drawing, which is not supported', matches(/^\s*(<\?xml.*?)?<svg\b/is)],
  ['an XML document', matches(/^\s*<\?xml/i)],
  ['an AVIF image, which is not supported', matches(/^.{4}ftypavi[fs]/s)],
  ['a HEIC image, which is not supported', matches(/^.{4}ftyp(hei[cfmsx]|hev[cx]|mif1|msf1)/s)],
  ['a video', (start) => start.slice(4, 8) === 'ftyp' || isRiff(start, 'AVI ')],
  ['a video', startsWith('\x1aE\xdf\xa3')],
  ['a JPEG XL image, which is not supported', startsWith('\xff\n', '\0\0\0\fJXL ')],
  ['a JPEG 2000 image, which is not supported', startsWith('\0\0\0\fjP  ', '\xff\x4f\xff\x51')],
  ['a Photoshop file', startsWith('8BPS')],
  ['a PPM or PGM image, which is not supported', matches(/^P[1-6]\s/)],
  ['an icon, which is not supported', startsWith('\0\0\x01\0', '\0\0\x02\0')],
  ['AppleDouble data of macOS', startsWith('\0\x05\x16\0', '\0\x05\x16\x07')],
  ['a PDF', startsWith('%PDF-')],
  ['a zip archive', startsWith('PK\x03\x04', 'PK\x05\x06')],
  ['gzip data', startsWith('\x1f\x8b')],
  ['a NumPy array', startsWith('\x93NUMPY')],
  ['zeros', (start) => start === '\0'.repeat(start.length)],
  ['JSON', matches(/^\s*[{[]\s*["{[\]}\d]/)],
  ['text', matches(/^[\t\n\r -~]+$/)],
];

/** Describes, for a message, the content of a file that is not a supported image. */
export function otherContent(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'the file is empty';
  // A byte-order mark may precede text.
  const start = latin1(bytes, 512).replace(/^\xef\xbb\xbf/, '');
  const [what = 'data of an unknown format'] = OTHERS.find(([, begins]) => begins(start)) ?? [];
  return `not an image but ${what}`;
}

function latin1(bytes: Uint8Array, most: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, most)).toString('latin1');
}

function startsWith(...beginnings: readonly string[]): (start: string) => boolean {
  return (start) => beginnings.some((each) => start.startsWith(each));
}

function matches(pattern: RegExp): (start: string) => boolean {
  return (start) => pattern.test(start);
}

function isRiff(start: string, kind: string): boolean {
  return start.startsWith('RIFF') && start.slice(8, 12) === kind;
}
