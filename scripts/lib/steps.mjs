/** @typedef {(text: string) => void} Note  Prints a line at once, for what takes long. */

/**
 * Runs named steps one after another and prints each with its time and what it found.
 * @param {{ quiet?: boolean, out?: { write(text: string): unknown } }} [options]
 */
export function createSteps({ quiet = false, out = process.stdout } = {}) {
  const start = performance.now();
  /** @param {string} text */
  const print = (text) => {
    if (!quiet) out.write(`${text}\n`);
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
      const result = await body((text) => print(`${name.padEnd(12)} ... ${text}`));
      print(`${name.padEnd(12)} ${seconds(began).padStart(7)}  ${describe(result)}`.trimEnd());
      return result;
    },
    /** @param {string} done For example `set up`: prints `set up in 41.2 s`. */
    finish(done) {
      print(`${done} in ${seconds(start)}`);
    },
  };
}

/** @param {number} since */
function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
