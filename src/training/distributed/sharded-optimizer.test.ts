import { expect, test } from 'vitest';
import { type RankEnding, type Refusal, ranks } from '../../../test/ranks.js';

/** name, dtype, shape, base64. */
type State = [string, string, number[], string][];

interface Trained {
  readonly losses: number[];
  readonly weights: Record<string, number[]>;
  readonly saved: State;
  readonly kept: number;
  readonly leaked: number;
}

const SETTINGS = { micros: 6, steps: 3 };

async function training(size: number, settings: object): Promise<Trained[]> {
  const endings: RankEnding<Trained>[] = await ranks(size, 'training', { ...SETTINGS, ...settings });
  expect(endings.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
    endings.map(() => ({ code: 0, stderr: '' })),
  );
  return endings.map(({ value }) => value);
}

const byName = (state: State) => Object.fromEntries(state.map(([name, ...rest]) => [name, rest]));

test.each([
  [2, 'adamw'],
  [3, 'adamw'],
  [3, 'muon'],
])('%i processes with a sharded state of %s train as with full copies', async (size, optimizer) => {
  const [copies, shares] = [
    await training(size, { optimizer }),
    await training(size, { optimizer, sharded: true }),
  ];
  for (const { losses, weights, saved, leaked } of shares) {
    expect(leaked).toBe(0);
    expect(losses).toEqual(copies[0].losses);
    expect(weights).toEqual(copies[0].weights);
    // The whole state, in each process, as one process has it.
    expect(byName(saved)).toEqual(byName(copies[0].saved));
  }
  const whole = copies[0].kept;
  for (const { kept } of shares) expect(kept).toBeLessThan((1.2 * whole) / size);
  expect(shares.reduce((total, { kept }) => total + kept, 0)).toBe(whole);
});

test('a state resumes with another number of processes', async () => {
  const [{ saved: state }] = await training(2, { sharded: true });
  const [one] = await training(1, { state });
  const [three] = await training(3, { state, sharded: true });
  expect(byName(three.saved).step).toEqual(byName(one.saved).step);
  for (const [step, loss] of three.losses.entries()) {
    expect(Math.abs(loss / one.losses[step] - 1)).toBeLessThan(1e-6);
  }
});

test('the state of another model is refused by the process that owns the part', async () => {
  const [{ saved }] = await training(2, { sharded: true });
  const state = saved.map(([name, ...rest]): State[number] => [name.replace('head', 'neck'), ...rest]);
  const endings = await ranks<Refusal>(2, 'training', { ...SETTINGS, sharded: true, state });
  for (const { code } of endings) expect(code).toBe(1);
  const errors = endings.map(({ value }) => value.error);
  expect(errors).toContain('InputError');
});
