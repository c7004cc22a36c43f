/** A problem of this machine, and how to solve it. */
export interface Problem {
  readonly what: string;
  readonly hint: string;
  /** Training is impossible until it is solved. */
  readonly blocking: boolean;
}

/** The result of one check of the machine. */
export interface Findings {
  /** The output of `doctor --json`. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** The output of `doctor`. */
  readonly lines: readonly (readonly [label: string, text: string])[];
  readonly problems: readonly Problem[];
}
