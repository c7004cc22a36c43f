import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
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
  for (const phase of ['MT/0', 'MT/1']) expectSamePhase({ phase, expected: apart, found: together });
}

/** The numbers of the logged steps of a phase's folder, with their losses. */
export function lossesOf(phase: string): [step: number, loss: number][] {
  return jsonLines(join(phase, 'metrics.jsonl'))
    .filter(({ kind }) => kind === 'step')
    .map(({ step, loss }) => [Number(step), Number(loss)]);
}

/** Expects the losses and weights of a phase in two run folders to be the same, up to rounding. */
export function expectSamePhase({ phase, expected, found }: Record<'phase' | 'expected' | 'found', string>) {
  const [left, right] = [expected, found].map((run) => lossesOf(join(run, phase)));
  expect(left.length).toBeGreaterThan(0);
  expect(right.map(([step]) => step)).toEqual(left.map(([step]) => step));
  for (const [i, [step, loss]] of left.entries())
    expect(right[i][1], `${phase} step ${step}`).toBeCloseTo(loss, 5);

  const weights = stateOf(found, phase).model;
  for (const [name, tensor] of stateOf(expected, phase).model) {
    const other = weights.get(name);
    if (tensor.dtype !== 'F32') expect(other, name).toEqual(tensor);
    else expect(distance(tensor, other as TensorData), `${phase} ${name}`).toBeLessThan(1e-5);
  }
}

function distance(...tensors: [TensorData, TensorData]): number {
  const [a, b] = tensors.map(({ data }) => new Float32Array(data.slice().buffer));
  expect(b).toHaveLength(a.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}
