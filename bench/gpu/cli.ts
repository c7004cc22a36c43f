import { spawnSync } from 'node:child_process';
import { settings } from './settings.js';

export const MAIN = 'dist/cli/main.js';
const TEXT = 1500;
/** A dry run may share its cores with other processes: see `slack` in bench/gpu/run. */
const SLACK = settings.isTiny ? 10 : 1;

export interface CliEnded {
  /** The exit code, or the signal that terminated it. */
  readonly status: number | string;
  readonly seconds: number;
  readonly stdout: string;
  /** The end of its output. */
  readonly text: string;
}

/** Runs the command line until it exits, and copies its output to the log. */
export function cli(args: readonly string[], { timeoutMs = 150_000 } = {}): CliEnded {
  const started = performance.now();
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: 'utf8',
    timeout: SLACK * timeoutMs,
    killSignal: 'SIGINT',
  });
  const seconds = (performance.now() - started) / 1000;
  const ended = status ?? String(signal);
  console.log(`$ deep-incubation ${args.join(' ')}  (${ended}, ${seconds.toFixed(1)} s)\n${stdout}${stderr}`);
  return { status: ended, seconds, stdout, text: `${stdout}${stderr}`.slice(-TEXT) };
}
