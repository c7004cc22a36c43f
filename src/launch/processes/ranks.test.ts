import { expect, test } from 'vitest';
import { runRanks } from './ranks.js';

/** Runs a script in each process. @returns how it ended, and the messages of the processes */
async function run(script: string, ranks: number) {
  const messages: unknown[] = [];
  const pids: number[] = [];
  const command = [process.execPath, '--input-type=module', '-e', script];
  const ending = await runRanks(command, {
    ranks,
    firstLocalRank: 2,
    env: { ...process.env, RANK: '7', WORLD_SIZE: '9' },
    onStart: (pid) => pids.push(pid),
    onMessage: (message) => messages.push(message),
  });
  return { ending, messages, pids };
}

const SEND_RANK = `const { RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, LOCAL_WORLD_SIZE } = process.env;
  process.send([RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, LOCAL_WORLD_SIZE], () => process.disconnect());`;
const WAIT = 'setInterval(() => {}, 1000);';

test('a single process has no ranks, whatever started it', async () => {
  const { ending, messages } = await run(
    `process.send([process.env.RANK, process.env.WORLD_SIZE], () => process.disconnect())`,
    1,
  );
  expect(ending).toMatchObject({ code: 0 });
  expect(messages).toEqual([['0', '1']]);
});

test('each process gets its rank; rank 0 represents the phase', async () => {
  const { ending, messages, pids } = await run(SEND_RANK, 3);
  expect(ending).toMatchObject({ code: 0, signal: null });
  expect(messages.sort()).toEqual(
    ['0', '1', '2'].map((rank) => [rank, '3', String(Number(rank) + 2), '127.0.0.1', '3']),
  );
  expect(pids).toHaveLength(1);
});

test('a process that dies ends the others, and is named', async () => {
  const script = `if (process.env.RANK === '1') process.kill(process.pid, 'SIGSEGV'); ${WAIT}`;
  const { ending } = await run(script, 2);
  expect(ending).toMatchObject({ code: null, signal: 'SIGSEGV' });
});

test('a process that died is named before one that lost its connection', async () => {
  const script = `if (process.env.RANK === '0') process.exit(1);
    setTimeout(() => process.kill(process.pid, 'SIGABRT'), 300);`;
  const { ending } = await run(script, 2);
  expect(ending).toMatchObject({ code: null, signal: 'SIGABRT' });
});
