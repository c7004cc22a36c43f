import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { syntheticRecords } from '../../test/synthetic-run.js';
import { InputError, RunError } from '../base/errors.js';
import { openMetricsLog, readMetrics } from './metrics-log.js';
import { tailMetrics } from './metrics-log-tail.js';

const RECORDS = syntheticRecords({ phase: 'FT', epochs: 2, top1: [10, 60], passes: 36 });
const line = (index: number) => `${JSON.stringify(RECORDS[index])}\n`;

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'metrics-')), 'PT', 'metrics.jsonl');
});

function write(count: number) {
  const log = openMetricsLog(path, { fromStep: 0 });
  for (const record of RECORDS.slice(0, count)) log.append(record);
  return log;
}

test('records come back as they were written', () => {
  expect(readMetrics(path)).toEqual([]);
  write(RECORDS.length);
  expect(readMetrics(path)).toEqual(RECORDS);
});

test('after a kill at any byte, resuming at any step leaves exactly the records up to it', () => {
  const whole = RECORDS.slice(0, 12);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 12 * 320 }), fc.integer({ min: 0, max: 60 }), (cutAt, fromStep) => {
      write(12);
      const size = readFileSync(path).length;
      truncateSync(path, Math.min(cutAt, size));
      const survivors = readMetrics(path);
      expect(survivors).toEqual(whole.slice(0, survivors.length));
      openMetricsLog(path, { fromStep }).append(RECORDS[12]);
      const kept = survivors.filter(({ step }) => step <= fromStep);
      expect(readMetrics(path)).toEqual([...kept, RECORDS[12]]);
    }),
    { numRuns: 60 },
  );
});

test('damage inside the file is an input error that names the line', () => {
  write(1);
  appendFileSync(path, `{"kind": "st\n${line(2)}`);
  expect(() => readMetrics(path)).toThrow(InputError);
  expect(() => readMetrics(path)).toThrow(`${path}, line 2`);
});

test('records of kinds this version does not know are left out, and kept in the file', () => {
  write(1);
  appendFileSync(path, '{"kind":"note","step":2}\n');
  appendFileSync(path, line(9));
  expect(readMetrics(path)).toEqual([RECORDS[0], RECORDS[9]]);
  openMetricsLog(path, { fromStep: 10 });
  expect(readFileSync(path, 'utf8')).toContain('"note"');
});

test('a tail gives every record once, and waits for the end of a line', () => {
  const tail = tailMetrics(path);
  expect(tail.poll()).toEqual({ reset: false, records: [] });
  write(2);
  expect(tail.poll()).toEqual({ reset: false, records: RECORDS.slice(0, 2) });
  appendFileSync(path, line(2) + line(3).slice(0, 30));
  expect(tail.poll()).toEqual({ reset: false, records: [RECORDS[2]] });
  appendFileSync(path, line(3).slice(30));
  expect(tail.poll()).toEqual({ reset: false, records: [RECORDS[3]] });
  expect(tail.poll()).toEqual({ reset: false, records: [] });
});

test('a tail starts over when a resumed run replaces the file, even with a longer one', () => {
  write(4);
  const tail = tailMetrics(path);
  tail.poll();
  const log = openMetricsLog(path, { fromStep: RECORDS[1].step });
  for (const record of RECORDS.slice(5, 12)) log.append(record);
  expect(tail.poll()).toEqual({ reset: true, records: [...RECORDS.slice(0, 2), ...RECORDS.slice(5, 12)] });
  writeFileSync(path, line(0));
  expect(tail.poll()).toEqual({ reset: true, records: [RECORDS[0]] });
});

test.skipIf(!existsSync('/dev/full'))(
  'a full disk is a run error that names the file and says nothing is lost',
  () => {
    const log = write(1);
    rmSync(path);
    symlinkSync('/dev/full', path);
    expect(() => log.append(RECORDS[1])).toThrow(RunError);
    expect(() => log.append(RECORDS[1])).toThrow(
      expect.objectContaining({
        message: expect.stringContaining(path),
        hint: expect.stringContaining('Nothing written before is lost'),
      }),
    );
  },
);
