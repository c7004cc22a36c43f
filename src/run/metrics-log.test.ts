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
import { needs } from '../../test/needs.js';
import { syntheticRecords } from '../../test/synthetic-run.js';
import { InputError, RunError } from '../base/errors.js';
import { openMetricsLog, readMetrics, recordsOf, tailMetrics } from './metrics-log.js';
import type { MetricRecord } from './records.js';

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

test('records are read back unchanged', () => {
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

test('kills at any point leave the same log', () => {
  // A training of 40 steps: a record for each, an evaluation at every fifth and at the start, and some checkpoints.
  const STEPS = 40;
  const at = (step: number): MetricRecord[] => {
    const place = { phase: 'FT', epoch: 0, step };
    const trained = { ...place, kind: 'step', loss: 1 / (step + 1) } as MetricRecord;
    const evaluation = { ...place, kind: 'eval', top1: step } as unknown as MetricRecord;
    return [...(step > 0 ? [trained] : []), ...(step % 5 === 0 ? [evaluation] : [])];
  };
  const life = fc.record({
    steps: fc.integer({ min: 0, max: 15 }),
    saveEvery: fc.integer({ min: 1, max: 7 }),
    tear: fc.nat({ max: 100 }),
    // If the newest checkpoint is damaged, the one before it is used.
    isDamaged: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(life, { maxLength: 8 }), (lives) => {
      rmSync(path, { force: true });
      let saved = [0];
      for (const { steps, saveEvery, tear, isDamaged } of [
        ...lives,
        { steps: STEPS, saveEvery: 1, tear: 0, isDamaged: false },
      ]) {
        const from = saved.at(-1) as number;
        const log = openMetricsLog(path, { fromStep: from });
        // An evaluation at the start is repeated after a resume at that step.
        for (const record of at(from).filter(({ kind }) => kind === 'eval')) log.append(record);
        const end = Math.min(STEPS, from + steps);
        for (let step = from + 1; step <= end; step++) {
          for (const record of at(step)) log.append(record);
          if (step % saveEvery === 0) saved.push(step);
        }
        // Killed while the next record was written.
        if (end < STEPS) appendFileSync(path, JSON.stringify(at(end + 1)[0]).slice(0, tear));
        if (isDamaged && saved.length > 1) saved = saved.slice(0, -1);
      }
      expect(readMetrics(path)).toEqual(Array.from({ length: STEPS + 1 }, (_, step) => at(step)).flat());
    }),
    { numRuns: 150 },
  );
});

test('resumed at step 0 it is empty, even if step 0 was evaluated', () => {
  const evaluation: MetricRecord = { ...RECORDS[9], kind: 'eval', step: 0 } as MetricRecord;
  openMetricsLog(path, { fromStep: 0 }).append(evaluation);
  openMetricsLog(path, { fromStep: 0 }).append(evaluation);
  expect(readMetrics(path)).toEqual([evaluation]);
});

test('a deleted file is not created again', () => {
  const log = write(3);
  rmSync(path);
  expect(() => log.append(RECORDS[3])).toThrow(RunError);
  expect(() => log.append(RECORDS[3])).toThrow(`Cannot write ${path}: it no longer exists.`);
  expect(existsSync(path)).toBe(false);
});

test('damage inside the file is an input error that names the line', () => {
  write(1);
  appendFileSync(path, `{"kind": "st\n${line(2)}`);
  expect(() => readMetrics(path)).toThrow(InputError);
  expect(() => readMetrics(path)).toThrow(`${path}, line 2`);
});

test('records of unknown kinds are left out, and kept in the file', () => {
  write(1);
  appendFileSync(path, '{"kind":"note","step":2}\n');
  appendFileSync(path, line(9));
  expect(readMetrics(path)).toEqual([RECORDS[0], RECORDS[9]]);
  openMetricsLog(path, { fromStep: 10 });
  expect(readFileSync(path, 'utf8')).toContain('"note"');
});

test('a tail returns every record once, and waits for the end of a line', () => {
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

test(
  'a full disk is a run error that names the file and says that nothing is lost',
  needs({ missing: existsSync('/dev/full') ? undefined : 'no /dev/full' }),
  () => {
    const log = write(1);
    rmSync(path);
    symlinkSync('/dev/full', path);
    expect(() => log.append(RECORDS[1])).toThrow(RunError);
    expect(() => log.append(RECORDS[1])).toThrow(
      expect.objectContaining({
        message: expect.stringContaining(path),
        hint: expect.stringContaining('Data written before is intact'),
      }),
    );
  },
);

test('a record with other values for its numbers is invalid; null stands for a non-finite number', () => {
  const line = (record: object) => `${JSON.stringify({ kind: 'step', step: 1, ...record })}\n`;
  const after = line({ step: 2 });
  expect(recordsOf(line({ loss: null, lr: 1 }) + after, 'metrics.jsonl')).toHaveLength(2);
  expect(recordsOf(line({ kind: 'later', loss: 'low' }) + after, 'metrics.jsonl')).toHaveLength(1);
  for (const wrong of [{ loss: '<b>' }, { seconds: {} }, { kind: 'eval', top1: [1] }, { steps: true }]) {
    expect(() => recordsOf(line(wrong) + after, 'metrics.jsonl')).toThrow('line 1: not a metric record');
  }
});
