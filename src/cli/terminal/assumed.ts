import { note } from './output.js';

/**
 * Prints on stderr what a command decided itself because neither the input nor the user said it: one line
 * `assumed: TEXT` per decision. Lower layers return the texts.
 */
export function noteAssumed(assumptions: readonly string[]): void {
  for (const text of assumptions) note(`assumed: ${text}`);
}
