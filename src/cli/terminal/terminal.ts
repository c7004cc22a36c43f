import { visible, visibleButColours } from '../../base/visible.js';

/**
 * Makes a stream write out the control characters of all text, whoever writes it: names, metadata and messages come from
 * files that others may have made. Bytes pass as they are: what this program itself tells the terminal is written with
 * `toTerminal` and `painted`.
 */
export function escapeText(stream: NodeJS.WriteStream): void {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  stream.write = (chunk: unknown, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? visible(chunk) : chunk, ...rest);
}

/** A sequence of this program's own that moves the cursor, erases or colours. */
export function toTerminal(sequence: string): Uint8Array {
  return Buffer.from(sequence);
}

/** Text of this program's own, in which it has chosen colours; other control characters are written out. */
export function painted(text: string): Uint8Array {
  return toTerminal(visibleButColours(text));
}
