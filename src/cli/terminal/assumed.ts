import { note } from './output.js';

/**
 * Prints one line `assumed: TEXT` on stderr for each decision that a command made because neither the input nor the user
 * specified it. Lower layers return the texts.
 */
export function noteAssumed(assumptions: readonly string[]): void {
  for (const text of assumptions) note(`assumed: ${text}`);
}
