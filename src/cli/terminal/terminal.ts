import { visible, visibleButColours } from '../../base/visible.js';

/**
 * Makes a stream escape the control characters in all text, whatever code writes it: names, metadata and messages may come from
 * untrusted files. Bytes are written unchanged; the program's own terminal sequences are written with `toTerminal` and `painted`.
 */
export function escapeText(stream: NodeJS.WriteStream): void {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  stream.write = (chunk: unknown, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? visible(chunk) : chunk, ...rest);
}

/** This program's own sequence that moves the cursor, erases or colours. */
export function toTerminal(sequence: string): Uint8Array {
  return Buffer.from(sequence);
}

/** This program's own text with its colours; other control characters are escaped. */
export function painted(text: string): Uint8Array {
  return toTerminal(visibleButColours(text));
}
