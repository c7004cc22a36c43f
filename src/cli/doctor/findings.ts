/** Something wrong with this machine, and what to do about it. */
export interface Problem {
  readonly what: string;
  readonly hint: string;
  /** Nothing can be trained until it is solved. */
  readonly blocking: boolean;
}

/** What one look at the machine has found. */
export interface Findings {
  /** As `doctor --json` prints them. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** As `doctor` prints them: what, and how it is. */
  readonly lines: readonly (readonly [label: string, text: string])[];
  readonly problems: readonly Problem[];
}
