import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Encoded } from '../../base/protobuf.js';
import { crc32c, openEventFile, tfRecord } from './event-file.js';
import {
  type Hparam,
  histogram,
  histogramOf,
  image,
  type SummaryImage,
  scalarEvent,
  sessionEnd,
  sessionStart,
} from './events.js';

// The schemas of TensorBoard 2.21, without unused fields.
const { root } = protobuf.parse(
  `
  syntax = "proto3";
  message Event { double wall_time = 1; int64 step = 2;
    oneof what { string file_version = 3; Summary summary = 5; SessionLog session_log = 7; } }
  message SessionLog { int32 status = 1; }
  message Summary { repeated Value value = 1; }
  message Value { string tag = 1; SummaryMetadata metadata = 9;
    oneof value { float simple_value = 2; Image image = 4; Histo histo = 5; Tensor tensor = 8; } }
  message Image { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4; }
  message Histo { double min = 1; double max = 2; double num = 3; double sum = 4; double sum_squares = 5;
    repeated double bucket_limit = 6; repeated double bucket = 7; }
  message SummaryMetadata { Plugin plugin_data = 1; }
  message Plugin { string plugin_name = 1; bytes content = 2; }
  message Tensor { int32 dtype = 1; Shape tensor_shape = 2; repeated float float_val = 5; }
  message Shape { repeated Dim dim = 2; }
  message Dim { int64 size = 1; }
  message HParamsPluginData { SessionStartInfo session_start_info = 3; SessionEndInfo session_end_info = 4; }
  message SessionStartInfo { map<string, JsonValue> hparams = 1; double start_time_secs = 5; }
  message SessionEndInfo { int32 status = 1; double end_time_secs = 2; }
  message JsonValue { oneof kind { double number_value = 2; string string_value = 3; bool bool_value = 4; } }
`,
  { keepCase: true },
);

type Decoded = Record<string, unknown>;

function decode(type: string, encoded: Encoded | Uint8Array): Decoded {
  const data = encoded instanceof Uint8Array ? encoded : Buffer.concat(encoded);
  const message = root.lookupType(type);
  return message.toObject(message.decode(data), { longs: Number, bytes: Buffer, arrays: true }) as Decoded;
}

/** The events of a file; its checks must hold. */
function eventsOf(path: string): Decoded[] {
  const data = readFileSync(path);
  const events: Decoded[] = [];
  const unmasked = (value: number) => {
    const turned = (value - 0xa282ead8) >>> 0;
    return ((turned >>> 17) | (turned << 15)) >>> 0;
  };
  for (let at = 0; at < data.length; ) {
    const length = Number(data.readBigUInt64LE(at));
    const content = data.subarray(at + 12, at + 12 + length);
    expect(unmasked(data.readUInt32LE(at + 8))).toBe(crc32c(data.subarray(at, at + 8)));
    expect(unmasked(data.readUInt32LE(at + 12 + length))).toBe(crc32c(content));
    events.push(decode('Event', content));
    at += 16 + length;
  }
  return events;
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'events-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const valuesOf = (event: Decoded) => (event.summary as { value: Decoded[] }).value;

test('CRC-32C of the check values of RFC 3720, section B.4', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e);
});

test('the first record of a file is, byte for byte, what TensorFlow writes', () => {
  // Of a file of torch.utils.tensorboard, wall_time set to 1.
  const event = Buffer.from('09000000000000f03f1a0d627261696e2e4576656e743a32', 'hex');
  const { path } = openEventFile(folder, { fromStep: 0, now: () => 1000 });
  expect(readFileSync(path).equals(tfRecord([event]))).toBe(true);
  expect(decode('Event', event)).toEqual({ wall_time: 1, file_version: 'brain.Event:2' });
});

test('scalars of any tag, value and step are read as they were written', () => {
  const values = fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.float()), { maxLength: 5 });
  fc.assert(
    fc.property(fc.maxSafeNat(), values, (step, tagged) => {
      const { path, append } = openEventFile(folder, { fromStep: 0 });
      append(
        step,
        tagged.map(([tag, value]) => scalarEvent(tag, value)),
      );
      const [, event] = eventsOf(path);
      expect(event.step ?? 0).toBe(step);
      expect(valuesOf(event).map(({ tag, simple_value }) => [tag, simple_value])).toEqual(tagged);
    }),
  );
});

test('an image', () => {
  const png = Buffer.from([0x89, 0x50, 0, 255]);
  const given: SummaryImage = { width: 300, height: 20, channels: 3, png };
  const { path, append } = openEventFile(folder, { fromStep: 0 });
  append(7, [image('train/images', given)]);
  expect(valuesOf(eventsOf(path)[1])).toEqual([
    { tag: 'train/images', image: { width: 300, height: 20, colorspace: 3, encoded_image_string: png } },
  ]);
});

test('a histogram counts every finite value in its bucket', () => {
  const numbers = fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), {
    minLength: 1,
    maxLength: 200,
  });
  fc.assert(
    fc.property(numbers, fc.integer({ min: 1, max: 9 }), (given, buckets) => {
      const found = histogramOf(Float32Array.from([...given, Number.NaN, Number.POSITIVE_INFINITY]), buckets);
      if (found === undefined) throw new Error('nothing found');
      const { min, max, count, sum, limits, counts } = found;
      expect([min, max, count]).toEqual([Math.min(...given) + 0, Math.max(...given) + 0, given.length]);
      expect(sum).toBeCloseTo(
        given.reduce((a, b) => a + b, 0),
        3,
      );
      expect(counts.reduce((a, b) => a + b)).toBe(given.length);
      expect(limits).toEqual([...limits].sort((a, b) => a - b));
      expect(limits.at(-1)).toBe(max);
      const { histo } = decode('Value', histogram('h', found)) as { histo: Decoded };
      expect(histo).toMatchObject({ num: given.length, bucket: counts, bucket_limit: limits });
    }),
  );
  expect(histogramOf(Float32Array.of(1, 1.5, 2, 3), 2)).toMatchObject({ limits: [2, 3], counts: [2, 2] });
  expect(histogramOf(Float32Array.of(-0), 1)).toMatchObject({ min: 0, max: 0, limits: [0] });
  expect(histogramOf(Float32Array.of(Number.NaN))).toBeUndefined();
});

test('hparams of any name and kind', () => {
  const hparam = fc.oneof(fc.string(), fc.double({ noNaN: true }), fc.boolean());
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string({ minLength: 1 }), hparam)), (entries) => {
      const given = new Map<string, Hparam>(entries.filter(([key]) => key !== '__proto__'));
      const value = decode('Value', sessionStart(given, 12.5)) as { tag: string; metadata: Decoded };
      expect(value.tag).toBe('_hparams_/session_start_info');
      const plugin = value.metadata.plugin_data as { plugin_name: string; content: Uint8Array };
      expect(plugin.plugin_name).toBe('hparams');
      const info = decode('HParamsPluginData', plugin.content).session_start_info as Decoded;
      expect(info.start_time_secs).toBe(12.5);
      const read = Object.entries((info.hparams ?? {}) as Record<string, Decoded>);
      expect(new Map(read.map(([key, kinds]) => [key, Object.values(kinds)[0]]))).toEqual(given);
    }),
  );
  const ended = decode('Value', sessionEnd(13)) as { metadata: { plugin_data: { content: Uint8Array } } };
  expect(decode('HParamsPluginData', ended.metadata.plugin_data.content)).toEqual({
    session_end_info: { status: 1, end_time_secs: 13 },
  });
});

test('a resumed session voids later steps, in a file that is read after the earlier ones', () => {
  const first = openEventFile(folder, { fromStep: 0, now: () => 5_000_000 });
  for (const step of [1, 2, 3]) first.append(step, [scalarEvent('a', step)]);
  // Another machine's clock is behind.
  const second = openEventFile(folder, { fromStep: 2, now: () => 4_000_000 });
  second.append(3, [scalarEvent('a', 30)]);
  expect(
    readdirSync(folder)
      .sort()
      .map((name) => join(folder, name)),
  ).toEqual([first.path, second.path]);
  const [version, start, value] = eventsOf(second.path);
  expect(version.file_version).toBe('brain.Event:2');
  expect(start).toMatchObject({ step: 3, session_log: { status: 1 } });
  expect(value).toMatchObject({ step: 3 });
});

test('a session from step 0 deletes earlier event files, and nothing else', () => {
  const first = openEventFile(folder, { fromStep: 0, now: () => 5_000_000 });
  const second = openEventFile(folder, { fromStep: 0, now: () => 6_000_000 });
  expect(first.path).not.toBe(second.path);
  expect(readdirSync(folder)).toHaveLength(1);
});

test('a folder that cannot be created is named', () => {
  const { path } = openEventFile(folder, { fromStep: 0 });
  expect(() => openEventFile(join(path, 'PT'), { fromStep: 0 })).toThrow(/^Cannot write .*PT/);
});
