import { expect, test } from 'vitest';
import { type Refusal, ranks } from '../../../test/ranks.js';
import { crewOf } from './crew.js';

test('a single process is a crew', async () => {
  const crew = crewOf(undefined);
  expect(crew).toMatchObject({ rank: 0, size: 1, leads: true, group: undefined });
  expect(crew.any([true, false])).toEqual([true, false]);
  expect(await crew.led(1, async () => [3])).toEqual([3]);
});

test('any() of flags, numbers from rank 0, which may take longer than the timeout', async () => {
  const settings = { timeoutSeconds: 1, workMs: 3000, beats: true };
  const endings = await ranks(3, 'agree', settings);
  for (const [rank, { code, value, stderr }] of endings.entries()) {
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(value).toEqual({ leads: rank === 0, flags: [true, true, false], numbers: [0, Math.PI] });
  }
});

test('without a heartbeat it counts as lost', async () => {
  const settings = { timeoutSeconds: 1, workMs: 3000, beats: false };
  const [, other] = await ranks<Refusal>(2, 'agree', settings);
  expect(other).toMatchObject({ code: 1, value: { error: 'LostRank' } });
});
