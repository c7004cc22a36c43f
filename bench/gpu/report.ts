import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { explain } from '../../src/cli/terminal/failure.js';
import { settings } from './settings.js';

/** A line of report.jsonl. */
export interface Finding {
  readonly section: string;
  readonly check?: string;
  /** Null for a measured value that is neither right nor wrong. */
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
  /** Maximum valid value; null for any. */
  readonly limit: number | null;
}

/** Reports a number, and whether it is within its limit. An error is reported as a finding too. */
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
    report({ section, check: name, limit, ok: false, error: errorAsShown(error), seconds: seconds() });
  }
}

/** The error text that a user would see; for a defect, the stack. */
export function errorAsShown(error: unknown): string {
  const text = explain(error, {});
  const isDefect = /may be a defect/.test(text) && error instanceof Error;
  return (isDefect ? (error.stack ?? text) : text).slice(0, TEXT);
}
