/**
 * Prints a line at once, for long steps. `progress` shows a text that the next one replaces, on a terminal only.
 * @typedef {((text: string) => void) & { progress?: (text: string) => void }} Note
 */

/**
 * Runs named steps one after another and prints each with its time and what it found.
 * @param {{ quiet?: boolean, out?: { write(text: string): unknown, isTTY?: boolean } }} [options]
 */
export function createSteps({ quiet = false, out = process.stdout } = {}) {
  const start = performance.now();
  /** @param {string} text */
  const print = (text) => {
    if (!quiet) out.write(`${out.isTTY ? CLEAR : ''}${text}\n`);
  };
  /** @param {string} name @returns {Note} */
  const noteOf = (name) => {
    const line = (/** @type {string} */ text) => `${name.padEnd(12)} ... ${text}`;
    const note = (/** @type {string} */ text) => print(line(text));
    return quiet || !out.isTTY
      ? note
      : Object.assign(note, {
          progress: (/** @type {string} */ text) => void out.write(`${CLEAR}${line(text)}`),
        });
  };
  return {
    /**
     * @template T
     * @param {string} name
     * @param {(note: Note) => T | Promise<T>} body
     * @param {(result: T) => string} [describe]
     * @returns {Promise<T>}
     */
    async run(name, body, describe = () => '') {
      const began = performance.now();
      const result = await body(noteOf(name));
      print(`${name.padEnd(12)} ${seconds(began).padStart(7)}  ${describe(result)}`.trimEnd());
      return result;
    },
    /** @param {string} done For example `set up`: prints `set up in 41.2 s`. */
    finish(done) {
      print(`${done} in ${seconds(start)}`);
    },
  };
}

/** Returns to the start of the line and erases it. */
const CLEAR = '\r\x1b[K';

/** @param {number} since */
function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
