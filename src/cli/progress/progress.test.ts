import { appendFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { beforeEach, expect, test } from 'vitest';
import { syntheticResult } from '../../../test/synthetic-run.js';
import { openMetricsLog } from '../../run/metrics-log.js';
import type { MetricRecord } from '../../run/records.js';
import { writeResult } from '../../run/run-folder.js';
import { createProgress, type ProgressOptions } from './progress.js';

let runDir: string;
let clock: number;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'progress-'));
  clock = 0;
});

const step = (phase: string, at: number, seconds = at / 10): MetricRecord => ({
  kind: 'step',
  phase,
  epoch: Math.floor((at - 1) / 100),
  step: at,
  steps: 400,
  loss: 1.234,
  lr: 1e-3,
  images_per_second: 1280.4,
  images: at * 128,
  block_passes: at,
  seconds,
  data_wait: 0,
  memory_bytes: 1.3e9,
});

const evaluation = (phase: string, at: number): MetricRecord => ({
  kind: 'eval',
  phase,
  epoch: 0,
  step: at,
  top1: 79.24,
  top5: 99,
  loss: 0.6,
  images: 0,
  block_passes: 0,
  seconds: at / 10,
});

function log(record: MetricRecord) {
  const folder = join(runDir, record.phase);
  mkdirSync(folder, { recursive: true });
  appendFileSync(join(folder, 'metrics.jsonl'), `${JSON.stringify(record)}\n`);
}

const finish = (phase: string) =>
  writeResult(runDir, {
    ...syntheticResult({ phase, epochs: 1, top1: [0, 79.2], passes: 12 }),
    steps: 1469,
    seconds: 41,
    loss: 0.61,
  });

/** As much of a terminal as is needed to see what stands on it. */
function terminal(columns = 100, rows = 24) {
  const lines: string[] = [''];
  let raw = '';
  return {
    columns,
    rows,
    raw: () => raw,
    screen: () => lines.slice(0, -1).map((line) => line.trimEnd()),
    write(given: string | Uint8Array) {
      const text = Buffer.from(given as string).toString();
      raw += text;
      for (const [part, up] of text
        .replaceAll('\x1b', '␛')
        .matchAll(/␛\[(\d+)A\r␛\[0J|\n|[^\n␛]+|␛\[[\d;]*m/g)) {
        if (up !== undefined) lines.splice(lines.length - 1 - Number(up), Number(up) + 1, '');
        else if (part === '\n') lines.push('');
        else if (!part.startsWith('␛')) lines[lines.length - 1] += part;
      }
    },
  };
}

function start(stream: ReturnType<typeof terminal>, options: Partial<ProgressOptions> = {}) {
  const phases = ['PT', 'MT/0', 'MT/1', 'FT'];
  return createProgress({ runDir, phases, stream, isTTY: true, now: () => clock, color: true, ...options });
}

test('a terminal shows a bar for each running phase and keeps a line for each finished one', () => {
  const stream = terminal(120);
  const progress = start(stream);
  progress.tick();
  expect(stream.raw()).toBe('');
  log(step('MT/0', 100));
  log(evaluation('MT/0', 100));
  log(step('MT/1', 40));
  progress.tick();
  const [graph, first, second, ...rest] = stream.screen();
  expect(graph).toBe('  PT ○ → MT 0 ◐ 1 ◐ → FT ○');
  expect(first).toBe(
    '  MT/0  ━━━━━──────────────  epoch 1  100/400  train loss 1.234  top-1 79.2 %  1,280 train images/s  1.21 GiB  ETA 30 s',
  );
  expect(second).toMatch(/^ {2}MT\/1 {2}━━─+ {2}epoch 1 {2}40\/400/);
  expect(rest).toEqual([]);

  progress.note('MT/1: checkpoint 40');
  finish('MT/0');
  log(step('MT/1', 200));
  progress.tick();
  expect(stream.screen().slice(0, 2)).toEqual([
    'MT/1: checkpoint 40',
    '✓ MT/0  done  1,469 steps  train time 41 s  eval loss 0.61  top-1 79.2 %',
  ]);
  expect(stream.screen()[2]).toBe('  PT ○ → MT 0 ● 1 ◐ → FT ○');
  expect(stream.screen()[3]).toContain('200/400');
  expect(stream.screen()).toHaveLength(4);

  finish('MT/1');
  progress.stop();
  expect(stream.screen()).toEqual([
    'MT/1: checkpoint 40',
    '✓ MT/0  done  1,469 steps  train time 41 s  eval loss 0.61  top-1 79.2 %',
    '✓ MT/1  done  1,469 steps  train time 41 s  eval loss 0.61  top-1 79.2 %',
  ]);
});

test.each([10, 20, 30, 40, 60, 79, 80, 100, 200])('no line is wider than %i columns', (columns) => {
  const stream = terminal(columns);
  const progress = start(stream);
  log(step('MT/0', 300));
  log(evaluation('MT/0', 300));
  progress.tick();
  finish('MT/1');
  progress.tick();
  for (const line of stream.screen()) expect(line.length).toBeLessThan(columns);
  expect(stream.screen().some((line) => line.includes('MT/0'))).toBe(true);
});

test('more phases than the terminal has rows are counted, not drawn', () => {
  const stream = terminal(80, 4);
  const phases = Array.from({ length: 8 }, (_, i) => `MT/${i}`);
  const progress = start(stream, { phases });
  for (const phase of phases) log(step(phase, 10));
  progress.tick();
  expect(stream.screen()).toHaveLength(3);
  expect(stream.screen()[2]).toBe('  and 7 more');
});

test('after the last step the evaluation is shown', () => {
  const stream = terminal(100);
  const progress = start(stream);
  log(step('PT', 399));
  progress.tick();
  expect(stream.screen()[1]).toContain('ETA 0.1 s');
  log(step('PT', 400));
  progress.tick();
  expect(stream.screen()[1]).toMatch(/400\/400 .* evaluating$/);
});

test('a narrowed terminal is cleared up to the end of the rewrapped lines', () => {
  const stream = terminal(100);
  const progress = start(stream);
  log(step('PT', 10));
  progress.tick();
  const rows = stream.screen().map((line) => Math.ceil(line.length / 30));
  stream.columns = 30;
  log(step('PT', 20));
  progress.tick();
  expect(stream.raw()).toContain(`\x1b[${rows.reduce((a, b) => a + b)}A`);
});

test('the loss is shown if there is room; waiting for data is reported', () => {
  const stream = terminal(140);
  const progress = start(stream, { phases: ['PT'] });
  for (let at = 1; at <= 300; at++) {
    const record = step('PT', at) as Extract<MetricRecord, { kind: 'step' }>;
    log({ ...record, loss: 4 - at / 100, data_wait: 0.35 });
  }
  progress.tick();
  expect(stream.screen()).toHaveLength(1);
  expect(stream.screen()[0]).toContain('train loss 1.000  █▇▇▆▅▅▄▄▃▂▂▁  ');
  expect(stream.screen()[0]).toContain('data wait 35 %');
});

test('colour is used only where it is supported and wanted', () => {
  const [plain, coloured] = [false, true].map((color) => {
    const stream = terminal();
    const progress = start(stream, { color });
    log(step('PT', 10));
    progress.tick();
    return stream.raw();
  });
  expect(plain).toBe(stripVTControlCharacters(plain));
  expect(coloured).not.toBe(stripVTControlCharacters(coloured));
});

test('without a terminal: a line at the start, one at most every ten seconds, one at the end', () => {
  const stream = terminal();
  const progress = start(stream, { isTTY: false });
  for (let at = 1; at <= 100; at++) {
    clock += 250;
    log(step('PT', at));
    progress.tick();
  }
  progress.note('a note');
  finish('PT');
  progress.tick();
  progress.tick();
  progress.stop();
  expect(stream.raw().split('\n')).toEqual([
    'PT    started, 400 steps',
    'PT    epoch 1  41/400  train loss 1.234  1,280 train images/s  1.21 GiB  ETA 36 s',
    'PT    epoch 1  81/400  train loss 1.234  1,280 train images/s  1.21 GiB  ETA 32 s',
    'a note',
    'PT    done  1,469 steps  train time 41 s  eval loss 0.61  top-1 79.2 %',
    '',
  ]);
});

test('a stalled phase prints nothing new', () => {
  const stream = terminal();
  const progress = start(stream, { isTTY: false });
  log(step('PT', 1));
  for (let i = 0; i < 200; i++) {
    clock += 250;
    progress.tick();
  }
  expect(stream.raw()).toBe('PT    started, 400 steps\n');
});

test('old records do not make a phase look running; a resumed phase names its first step', () => {
  for (const at of [10, 20, 30]) log(step('PT', at));
  const stream = terminal();
  const progress = start(stream, { isTTY: false });
  progress.tick();
  expect(stream.raw()).toBe('');
  const resumed = openMetricsLog(join(runDir, 'PT', 'metrics.jsonl'), { fromStep: 20 });
  resumed.append(step('PT', 21));
  progress.tick();
  expect(stream.raw()).toMatch(/^PT {4}resumed at step 2[01]\n$/);
});

test('a restart during the display is reported', () => {
  const stream = terminal();
  const progress = start(stream, { isTTY: false });
  for (const at of [10, 20, 30]) log(step('PT', at));
  progress.tick();
  openMetricsLog(join(runDir, 'PT', 'metrics.jsonl'), { fromStep: 20 });
  progress.tick();
  expect(stream.raw()).toBe('PT    started, 400 steps\nPT    resumed at step 20\n');
});

test('quiet prints nothing', () => {
  const stream = terminal();
  const progress = start(stream, { quiet: true });
  log(step('PT', 10));
  progress.tick();
  progress.note('a note');
  progress.stop();
  expect(stream.raw()).toBe('');
});

test.each([
  ['absolute', () => runDir],
  ['relative', () => relative(process.cwd(), runDir)],
])('the remaining time of the whole run, if the plan is known; %s path', (_, pathOf) => {
  const plan = ['PT', 'MT/0', 'FT'].map((phase) => ({ phase, steps: 400, needs: [], block_passes: 400 }));
  writeFileSync(join(runDir, 'plan.json'), JSON.stringify({ phases: plan }));
  writeFileSync(join(runDir, 'recipe.json'), JSON.stringify({ run: { parallel: 1 } }));
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text) } as unknown as ProgressOptions['stream'];
  const phases = plan.map(({ phase }) => phase);
  const progress = createProgress({ runDir: pathOf(), phases, stream, isTTY: false, now: () => clock });
  const path = join(runDir, 'PT', 'metrics.jsonl');
  mkdirSync(join(runDir, 'PT'));
  appendFileSync(path, `${JSON.stringify(step('PT', 100))}\n`);
  progress.tick();
  clock = 20_000;
  appendFileSync(path, `${JSON.stringify(step('PT', 200))}\n`);
  progress.tick();
  // A tenth of a second per step and per block-pass: 20 s of PT, 40 s of each other phase.
  expect(lines.at(-1)).toContain('run ETA 1 min 40 s');
  progress.stop();
});
