import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { explain } from '../../src/cli/terminal/failure.js';
import { settings } from './settings.js';

/** A line of report.jsonl. */
export interface Finding {
  readonly section: string;
  readonly check?: string;
  /** null: a figure to be read, not one that can be wrong. */
  readonly ok?: boolean | null;
  readonly [field: string]: unknown;
}

const TEXT = 1500;

export function report(finding: Finding): void {
  const line = JSON.stringify(finding);
  appendFileSync(join(settings.out, 'report.jsonl'), `${line}\n`);
  console.log(line);
}

export interface Check {
  readonly section: string;
  readonly check: string;
  /** The largest value that is right; null: any. */
  readonly limit: number | null;
}

/** Reports a number, and whether it is within its limit. An error is a finding too. */
export async function check(
  { section, check: name, limit }: Check,
  work: () => Promise<{ readonly value: number; readonly [more: string]: unknown }>,
): Promise<void> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  try {
    const found = await work();
    report({
      section,
      check: name,
      limit,
      ok: limit === null ? null : found.value <= limit,
      seconds: seconds(),
      ...found,
    });
  } catch (error) {
    report({ section, check: name, limit, ok: false, error: errorAsTold(error), seconds: seconds() });
  }
}

/** What a user would read of an error. */
export function errorAsTold(error: unknown): string {
  const text = explain(error, {});
  const isDefect = /may be a defect/.test(text) && error instanceof Error;
  return (isDefect ? (error.stack ?? text) : text).slice(0, TEXT);
}
