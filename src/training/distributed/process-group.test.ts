import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { needs } from '../../../test/needs.js';
import { type Refusal, ranks } from '../../../test/ranks.js';
import { InputError } from '../../base/errors.js';
import { collectives } from '../../torch/collective.js';
import { joinGroup } from './process-group.js';

test.each([2, 3])('%i processes sum, average and broadcast', async (size) => {
  const endings = await ranks(size, 'collectives');
  const all = Array.from({ length: size }, (_, rank) => rank);
  const sum = (of: (rank: number) => number) => all.reduce((total, rank) => total + of(rank), 0);
  for (const [rank, { code, stderr, value }] of endings.entries()) {
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(value).toEqual({
      rank,
      size,
      localRank: rank,
      leaked: 0,
      sums: [[sum((r) => r), size * 0.5], [sum((r) => 10 ** r)]],
      mean: [sum((r) => r + 1) / size, 3],
      // Beyond the precision of float64.
      count: String(2n ** 60n + BigInt(size - 1)),
      exchanged: [
        [sum((r) => r), 2 * size],
        [0, Math.PI],
      ],
    });
  }
});

test('successive groups on one port do not mix', async () => {
  const endings = await ranks(3, 'inTurn', { groups: 4 });
  expect(endings.map(({ code, value }) => ({ code, value }))).toEqual(
    Array.from({ length: 3 }, () => ({ code: 0, value: [0, 3, 6, 9] })),
  );
});

test('a killed process ends the others, which name their rank', async () => {
  const endings = await ranks<Refusal>(3, 'loseRank', { signal: 'SIGKILL', timeoutSeconds: 60 });
  expect(endings[2]).toMatchObject({ signal: 'SIGKILL' });
  for (const [rank, { code, value, stderr }] of endings.slice(0, 2).entries()) {
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(value.error).toBe('LostRank');
    expect(value.message).toMatch(
      new RegExp(`^rank ${rank} of 3: all-reduce: .*(closed by peer|reset by peer)`),
    );
    expect(value.hint).toContain('start all 3 again');
  }
});

test('a process that stops responding ends the others after the timeout', async () => {
  const endings = await ranks<Refusal>(
    ...([2, 'loseRank', { signal: 'SIGSTOP', timeoutSeconds: 8 }] as const),
    {
      started: ([other, silent]) => other.once('exit', () => silent.kill('SIGKILL')),
    },
  );
  expect(endings[0]).toMatchObject({ code: 1, value: { error: 'LostRank' }, stderr: '' });
  expect(endings[0].value.message).toBe(
    'rank 0 of 2: all-reduce: Timed out waiting 8000ms for recv operation to complete',
  );
});

test.each([0, 1])('only rank %i waits, and not longer than the timeout', async (rank) => {
  const env = { RANK: String(rank), WORLD_SIZE: '2' };
  const [ending] = await ranks<Refusal>(1, 'joinAlone', { timeoutSeconds: 1 }, { env });
  expect(ending).toMatchObject({ code: 1, value: { error: 'LostRank' }, stderr: '' });
  expect(ending.value.message).toMatch(
    /^rank \d of 2 could not connect to the others at 127\.0\.0\.1:\d+: .*time/,
  );
  expect(ending.value.hint).toMatch(/^start all 2 within 1 s/);
});

test('a used port is reported at once', async () => {
  const taken = createServer().listen(0);
  await once(taken, 'listening');
  const env = { RANK: '0', WORLD_SIZE: '2', MASTER_PORT: String((taken.address() as AddressInfo).port) };
  const [ending] = await ranks<Refusal>(1, 'joinAlone', { timeoutSeconds: 60 }, { env });
  taken.close();
  expect(ending).toMatchObject({ code: 1, value: { error: 'LostRank' }, stderr: '' });
  expect(ending.value.message).toContain('Address already in use');
  expect(ending.value.hint).toContain('free MASTER_PORT');
});

test('without a launcher there is no group', async () => {
  expect(joinGroup({}, { device: 'cpu' })).toBeUndefined();
  const [ending] = await ranks(1, 'joinAlone');
  expect(ending).toMatchObject({ code: 0, value: 'no group' });
});

const withNccl = collectives().includes('nccl') ? 'this libtorch has NCCL' : undefined;

test('GPUs need NCCL', needs({ missing: withNccl, optional: true }), () => {
  const env = { RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1' };
  const refused = () => joinGroup(env, { device: 'cuda:0', timeoutSeconds: 1 });
  expect(refused).toThrow(InputError);
  expect(refused).toThrow('without NCCL');
});
