import { note } from './output.js';

/**
 * Prints on stderr each decision that a command made because neither the input nor the user specified it: one line `assumed:
 * TEXT` per decision. Lower layers return the texts.
 */
export function noteAssumed(assumptions: readonly string[]): void {
  for (const text of assumptions) note(`assumed: ${text}`);
}
