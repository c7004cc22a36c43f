import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** @typedef {{ code: number, stdout: string, stderr: string, output: string }} Captured */

/**
 * Runs a program and keeps what it prints (`output`: both streams as they came). A non-zero exit is
 * not an error; a program that cannot be started returns code 127.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, onOutput?: (output: string) => void }} [options]
 *   `onOutput` gets all that was printed so far, each time more comes
 * @returns {Promise<Captured>}
 */
export function capture(command, args, { onOutput, ...options } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    const result = { code: 127, stdout: '', stderr: '', output: '' };
    child.stdout.setEncoding('utf8').on('data', (text) => {
      result.stdout += text;
      result.output += text;
      onOutput?.(result.output);
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      result.stderr += text;
      result.output += text;
    });
    child.on('error', (error) => resolve({ ...result, output: error.message }));
    child.on('close', (code) => resolve({ ...result, code: code ?? 1 }));
  });
}

/**
 * Runs a program on this terminal and returns its exit code. Ctrl-C reaches the program; this process waits until
 * the program ends.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<number>}
 */
export function passThrough(command, args, options = {}) {
  const stayAlive = () => {};
  process.on('SIGINT', stayAlive);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: 'inherit' });
    const endChild = () => child.kill('SIGTERM');
    process.on('SIGTERM', endChild);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('SIGINT', stayAlive);
      process.off('SIGTERM', endChild);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 1));
    });
  });
}

/** The first of these programs that is on the PATH. @param {string[]} names @param {NodeJS.ProcessEnv} env */
export function firstOnPath(names, env) {
  const folders = (env.PATH ?? '').split(delimiter).filter(Boolean);
  for (const name of names) {
    for (const folder of name.includes('/') ? [''] : folders) {
      const file = folder ? join(folder, name) : name;
      if (isProgram(file)) return file;
    }
  }
  return undefined;
}

/** @param {string} file */
function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
