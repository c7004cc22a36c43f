import { z } from 'zod';
import { InputError, RunError } from '../../base/errors.js';
import { type DType, dtypeSize, elementCount, isDType, type TensorData } from '../../base/tensor-data.js';

/** Limit of the reference implementation (huggingface/safetensors, tensor.rs), in bytes. */
export const MAX_HEADER_BYTES = 100_000_000;

const METADATA_KEY = '__metadata__';

/** The reference sorts by its dtype enumeration, last first. The order follows descending alignment, but must match exactly. */
const WRITE_ORDER: readonly DType[] = ['I64', 'F64', 'F32', 'I32', 'BF16', 'F16', 'I16', 'I8', 'U8', 'BOOL'];

export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Offset in bytes from the end of the header. */
  readonly start: number;
  readonly end: number;
}

interface SafetensorsHeader {
  /** In the order of their data. */
  readonly entries: readonly TensorEntry[];
  readonly metadata: Readonly<Record<string, string>>;
}

const count = z.int().nonnegative();
const entrySchema = z.object({
  dtype: z.string(),
  shape: z.array(count),
  data_offsets: z.tuple([count, count]),
});

/**
 * Parses and checks a header as strictly as the reference does: UTF-8 JSON, offsets from 0 to
 * `dataBytes` without gaps or overlaps, sizes that match dtype and shape; and, as its format page
 * requires, no duplicate keys. Throws `InputError` naming `source` and the tensor.
 */
export function parseHeader(bytes: Uint8Array, dataBytes: number, source: string): SafetensorsHeader {
  requireFew(bytes, source);
  const json = parseObject(bytes, source);
  const entries = Object.entries(json)
    .filter(([name]) => name !== METADATA_KEY)
    .map(([name, value]) => parseEntry(name, value, source))
    .sort((a, b) => a.start - b.start || a.end - b.end);
  let end = 0;
  for (const entry of entries) {
    if (entry.start !== end) {
      throw invalid(
        source,
        `tensor '${entry.name}' starts at byte ${entry.start}, not at ${end}, where the previous tensor ends`,
      );
    }
    end = entry.end;
  }
  if (end !== dataBytes) {
    throw invalid(source, `the header describes ${end} bytes of tensors, but the file has ${dataBytes}`);
  }
  return { entries, metadata: parseMetadata(json[METADATA_KEY], source) };
}

/**
 * Encodes the header of these tensors with its 8-byte length, padded with spaces to a multiple of 8.
 * Also returns the tensors in the order in which their data must follow.
 */
export function encodeHeader(
  tensors: ReadonlyMap<string, TensorData>,
  metadata?: Readonly<Record<string, string>>,
): { readonly bytes: Uint8Array; readonly tensors: readonly TensorData[] } {
  for (const [name, { dtype, shape, data }] of tensors) {
    if (data.length !== elementCount(shape) * dtypeSize(dtype)) {
      throw new RunError(`tensor '${name}': ${dtype} [${shape}] does not fit ${data.length} bytes`);
    }
  }
  return tensorsHeader(tensors, metadata);
}

/** `encodeHeader` of tensors whose data are not in memory. */
export function tensorsHeader<T extends Pick<TensorData, 'dtype' | 'shape'>>(
  tensors: ReadonlyMap<string, T>,
  metadata?: Readonly<Record<string, string>>,
): { readonly bytes: Uint8Array; readonly tensors: readonly T[] } {
  const sorted = [...tensors].sort(
    ([a, left], [b, right]) =>
      WRITE_ORDER.indexOf(left.dtype) - WRITE_ORDER.indexOf(right.dtype) ||
      Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  let offset = 0;
  const members = metadata === undefined ? [] : [`"${METADATA_KEY}":${JSON.stringify(metadata)}`];
  for (const [name, { dtype, shape }] of sorted) {
    if (name === METADATA_KEY) throw new RunError(`a tensor must not be named ${METADATA_KEY}`);
    const end = offset + elementCount(shape) * dtypeSize(dtype);
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`);
    offset = end;
  }
  const json = Buffer.from(`{${members.join(',')}}`);
  const length = Math.ceil(json.length / 8) * 8;
  if (length > MAX_HEADER_BYTES) throw new RunError(`a safetensors header of ${length} bytes is too long`);
  const bytes = Buffer.alloc(8 + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length));
  json.copy(bytes, 8);
  return { bytes, tensors: sorted.map(([, tensor]) => tensor) };
}

/** Ten times the number of tensors in the largest models. */
const MOST_TENSORS = 2 ** 16;
/** Limit for the number of keys, including those of metadata: a colon follows each. */
const MOST_COLONS = 2 ** 20;

/** Rejects headers with too many entries: within the reference's limit, parsing a million empty tensors takes gigabytes. */
function requireFew(bytes: Uint8Array, source: string): void {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (occurs(header, '"data_offsets"', MOST_TENSORS) || occurs(header, ':', MOST_COLONS)) {
    throw invalid(source, `the header of ${bytes.length} bytes has more than ${MOST_TENSORS} entries`);
  }
}

/** Whether `text` occurs more than `most` times. */
function occurs(bytes: Buffer, text: string, most: number): boolean {
  let found = 0;
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1))
    if (++found > most) return true;
  return false;
}

function parseObject(bytes: Uint8Array, source: string): Record<string, unknown> {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (error) {
    throw invalid(source, 'the header is not UTF-8 JSON', error);
  }
  if (!isObject(json)) throw invalid(source, 'the header is not a JSON object');
  const twice = duplicateKey(text);
  if (twice !== undefined) throw invalid(source, `'${twice}' is duplicated in the header`);
  return json;
}

function parseEntry(name: string, value: unknown, source: string): TensorEntry {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) {
    throw invalid(
      source,
      `tensor '${name}': expected {dtype, shape, data_offsets} with whole numbers of at least 0`,
    );
  }
  const { dtype, shape, data_offsets } = parsed.data;
  const [start, end] = data_offsets;
  if (!isDType(dtype)) throw invalid(source, `tensor '${name}': dtype '${dtype}' is not supported`);
  const size = elementCount(shape) * dtypeSize(dtype);
  if (!Number.isSafeInteger(size) || end - start !== size) {
    throw invalid(source, `tensor '${name}': ${dtype} [${shape}] needs ${size} bytes, not ${end - start}`);
  }
  return { name, dtype, shape, start, end };
}

function parseMetadata(value: unknown, source: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw invalid(source, `${METADATA_KEY} is not an object`);
  const pairs = Object.entries(value).map(([key, text]): [string, string] => {
    if (typeof text !== 'string') throw invalid(source, `${METADATA_KEY} '${key}' is not a string`);
    return [key, text];
  });
  return Object.fromEntries(pairs);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The first key that occurs twice in one object of a valid JSON text; `JSON.parse` would keep only the last value. */
function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '{') open.push(new Set());
    else if (text[at] === '}') open.pop();
    else if (text[at] === '"') {
      const start = at++;
      for (; text[at] !== '"'; at++) if (text[at] === '\\') at++;
      if (!followedByColon(text, at)) continue;
      const key: string = JSON.parse(text.slice(start, at + 1));
      const keys = open.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

function followedByColon(text: string, quote: number): boolean {
  let at = quote + 1;
  while (' \t\r\n'.includes(text.charAt(at)) && at < text.length) at++;
  return text[at] === ':';
}

function invalid(source: string, message: string, cause?: unknown): InputError {
  return new InputError(`${source}: ${message}`, {
    cause,
    hint: 'The file is damaged or not a safetensors file; download or write it again.',
  });
}
