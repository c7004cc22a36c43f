import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { cli, jsonLines } from './cli-support.js';
import { stateOf } from './killed-run.js';

/**
 * Incubates two modules one by one and, in another run folder, together, and expects the same losses and weights, up to rounding.
 * @param args of the command for a run in a folder, with two modules
 */
export async function expectSameTogether(args: (out: string) => string[], folder: string): Promise<void> {
  const [apart, together] = ['apart', 'together'].map((name) => join(folder, name));
  const run = async (out: string, only: string) => {
    const ended = await cli([...args(out), '--set', 'incubation.together=true', '--only', only]);
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
  };
  await run(apart, 'PT');
  cpSync(apart, together, { recursive: true });
  await run(apart, 'MT/0');
  await run(apart, 'MT/1');
  await run(together, 'MT');
  expect(readFileSync(join(together, 'MT/0/log.txt'), 'utf8')).toContain('together with MT/1');
  for (const phase of ['MT/0', 'MT/1']) {
    const losses = (out: string) =>
      jsonLines(join(out, phase, 'metrics.jsonl')).map(({ loss }) => Number(loss));
    const [expected, found] = [losses(apart), losses(together)];
    expect(found).toHaveLength(expected.length);
    for (const [i, loss] of expected.entries()) expect(found[i], `${phase} ${i}`).toBeCloseTo(loss, 4);
    const weights = stateOf(together, phase).model;
    for (const [name, { data }] of stateOf(apart, phase).model)
      expectClose(data, weights.get(name)?.data, `${phase} ${name}`);
  }
}

function expectClose(a: Uint8Array, b: Uint8Array | undefined, name: string): void {
  const [left, right] = [a, b ?? new Uint8Array()].map((bytes) => new Float32Array(bytes.slice().buffer));
  expect(right, name).toHaveLength(left.length);
  const apart = left.reduce((most, value, i) => Math.max(most, Math.abs(value - right[i])), 0);
  expect(apart, name).toBeLessThan(1e-5);
}
