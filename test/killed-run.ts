import { join } from 'node:path';
import { expect } from 'vitest';
import { latestCheckpoint, readCheckpoint } from '../src/run/checkpoint-store.js';
import { cli, jsonLines, start, until } from './cli-support.js';

/** The latest checkpoint of a phase. */
export function stateOf(run: string, phase: string) {
  const { checkpoint } = latestCheckpoint(join(run, phase));
  if (checkpoint === undefined) throw new Error(`${phase} has no checkpoint`);
  return readCheckpoint(checkpoint);
}

/**
 * Starts a run, kills it with SIGKILL after three steps of PT, resumes it, and expects the weights of `whole`, a run with the same settings
 * that was not killed.
 * @param args of the command for a run in a folder
 */
export async function expectSameWhenKilled(
  args: (out: string) => string[],
  { whole, killed, phases }: { whole: string; killed: string; phases: readonly string[] },
): Promise<void> {
  const metrics = join(killed, 'PT/metrics.jsonl');
  const first = start(args(killed));
  await until(() => jsonLines(metrics).some(({ kind, step }) => kind === 'step' && step === 3), 'step 3');
  first.process.kill('SIGKILL');
  await first.ended;
  expect(await cli(args(killed))).toMatchObject({ code: 0 });
  for (const phase of phases) {
    const [once, twice] = [whole, killed].map((run) => stateOf(run, phase));
    expect([...twice.model.keys()]).toEqual([...once.model.keys()]);
    for (const [name, tensor] of once.model) expect(twice.model.get(name), name).toEqual(tensor);
  }
}
