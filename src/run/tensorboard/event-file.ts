import { appendFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Encoded } from '../../base/protobuf.js';
import { withFileErrors } from '../../files/file-errors.js';
import { startEvent, summaryEvent, versionEvent } from './events.js';

interface EventFile {
  readonly path: string;
  /** Appends values (see events.ts) for a step, and writes them immediately. */
  append(step: number, values: readonly Encoded[]): void;
}

interface EventFileOptions {
  /** Number of steps done before. 0 deletes earlier event files. */
  readonly fromStep: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * Starts a TensorBoard event file, in the same folder as those of earlier sessions. An earlier session may have recorded
 * steps after the checkpoint from which this one resumes, so the new file marks their events of those steps as void.
 *
 * Throws `InputError` if the folder is not writable, `RunError` if the disk is full.
 */
export function openEventFile(
  folder: string,
  { fromStep, now = () => Date.now() }: EventFileOptions,
): EventFile {
  return withFileErrors(folder, () => {
    mkdirSync(folder, { recursive: true });
    const before = eventFilesIn(folder);
    if (fromStep === 0) for (const name of before) rmSync(join(folder, name));
    // TensorBoard reads files in the order of their names, which must not depend on differences between machines' clocks.
    const newest = Math.max(0, ...before.map((name) => Number(name.split('.')[3])));
    const seconds = Math.max(Math.floor(now() / 1000), newest + 1);
    const path = join(folder, `events.out.tfevents.${String(seconds).padStart(10, '0')}.deep-incubation`);
    const add = (event: Encoded) => withFileErrors(path, () => appendFileSync(path, tfRecord(event)));
    add(versionEvent(now() / 1000));
    if (fromStep > 0) add(startEvent({ wallTime: now() / 1000, step: fromStep + 1 }));
    return {
      path,
      append: (step, values) => add(summaryEvent({ wallTime: now() / 1000, step }, values)),
    };
  });
}

function eventFilesIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => /^events\.out\.tfevents\.\d+\./.test(name));
}

/** CRC-32C (Castagnoli; RFC 3720, section B.4), which differs from zlib's CRC-32. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/**
 * A record of a TFRecord file: length (8 bytes), CRC of the length, data, CRC of the data. The CRCs are masked as in
 * tensorflow/core/lib/io/record_writer.h, because the CRC of data that contains CRCs is weak.
 */
export function tfRecord(message: Encoded): Uint8Array {
  const data = Buffer.concat(message);
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length));
  head.writeUInt32LE(masked(crc32c(head.subarray(0, 8))), 8);
  const foot = Buffer.alloc(4);
  foot.writeUInt32LE(masked(crc32c(data)));
  return Buffer.concat([head, data, foot]);
}

function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
