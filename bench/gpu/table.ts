import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Case, readCases } from './cases.js';
import { largest } from './compare.js';
import { flopsPerImage, PEAK } from './flops.js';
import type { Finding } from './report.js';
import { settings } from './settings.js';

const SHOWN = 700;

/** Prints the content of report.jsonl as readable tables. */
export async function table(): Promise<void> {
  const text = readFileSync(join(settings.out, 'report.jsonl'), 'utf8');
  const findings = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Finding);
  console.log(tableOf(findings, readCases()));
}

export function tableOf(findings: readonly Finding[], cases: readonly Case[]): string {
  const of = (section: string) => findings.filter((finding) => finding.section === section);
  return [
    '==== machine ====',
    ...of('identify').map(shown),
    '',
    `==== steps (MFU of ${PEAK / 1e12} TFLOP/s) ====`,
    ...stepTable(of('step'), cases),
    '',
    '==== checks ====',
    ...checkLines(findings),
    '',
    '==== whole method, failures, loader, group ====',
    ...['method', 'failures', 'loader', 'group'].flatMap(of).map(shown),
    '',
    '==== sections (124: out of time) ====',
    ...of('section').map(({ name, code, seconds }) => `${name}: ${code}, ${seconds} s`),
  ].join('\n');
}

function shown({ section, check, ok, ...fields }: Finding): string {
  const { text, memory, ...numbers } = fields;
  const details = JSON.stringify({ ...numbers, ...(ok ? {} : { text }) }).slice(0, SHOWN);
  return `${mark(ok)} ${section}: ${check ?? ''} ${details}`;
}

function mark(ok: boolean | null | undefined): string {
  if (ok === null || ok === undefined) return '     ';
  return ok ? 'ok   ' : 'WRONG';
}

/** A column: its header, and a function that reads its value from a finding. */
type Column = readonly [head: string, of: (finding: Finding, given: Case) => string];

const fixed = (value: unknown, digits: number) => (typeof value === 'number' ? value.toFixed(digits) : '-');

const COLUMNS: readonly Column[] = [
  ['case', (_, { name }) => name],
  ['batch', (_, { batch }) => String(batch)],
  ['who', ({ who }) => String(who)],
  ['ms', ({ ms }) => fixed(ms, 2)],
  ['mean', ({ mean_ms }) => fixed(mean_ms, 2)],
  ['images/s', ({ images_per_s }) => fixed(images_per_s, 0)],
  ['MFU %', (finding, given) => fixed(mfu(finding, given), 1)],
  ['GB', ({ peak_gb }) => fixed(peak_gb, 1)],
  ['host ms', ({ host_cpu_ms }) => fixed(host_cpu_ms, 1)],
  ['first s', ({ first_step_ms }) => fixed(Number(first_step_ms) / 1000, 1)],
  ['kernels', ({ kernels }) => fixed(kernels, 0)],
  ['blocking copies', ({ blocking_copies }) => fixed(blocking_copies, 0)],
  ['scalar reads', ({ scalar_reads }) => fixed(scalar_reads, 0)],
];

function mfu({ images_per_s }: Finding, given: Case): number {
  return (100 * Number(images_per_s) * flopsPerImage(given)) / PEAK;
}

/** One line per case and variant, followed by those that failed. */
function stepTable(steps: readonly Finding[], cases: readonly Case[]): string[] {
  const done = steps.filter(({ ms }) => ms !== undefined);
  const rows = cases.flatMap((given) =>
    done
      .filter((finding) => finding.case === given.name)
      .map((finding) => COLUMNS.map(([, of]) => of(finding, given))),
  );
  const failed = steps.filter(({ ms }) => ms === undefined);
  return [...aligned([COLUMNS.map(([head]) => head), ...rows]), ...failed.map(shown)];
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const isText = (i: number) => i === 0 || i === 2;
  return rows.map((row) =>
    row
      .map((cell, i) => (isText(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd(),
  );
}

/** The number of passed checks, then each failed check and each value without a limit. */
function checkLines(findings: readonly Finding[]): string[] {
  const checks = findings.filter(({ section, limit }) => section === 'correct' && limit !== undefined);
  const limited = checks.filter(({ limit }) => limit !== null);
  const good = limited.filter(({ ok }) => ok);
  const most = largest(good.map(({ value }) => Number(value)));
  return [
    `${good.length} of ${limited.length} comparisons hold; their largest difference is ${most.toExponential(1)}`,
    ...checks.filter(({ ok }) => !ok).map(shown),
  ];
}
