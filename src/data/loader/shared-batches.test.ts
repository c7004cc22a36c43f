import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shareBatches } from './shared-batches.js';

const END = 12;

/** Counts how often each place is read. */
function numbers(read: number[]) {
  return async function* (from: number): AsyncGenerator<number> {
    for (let i = from; i < END; i++) {
      read.push(i);
      yield i;
    }
  };
}

test('every member gets every batch from its first step on, and each batch is read once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ from: fc.nat(END), stopsAfter: fc.option(fc.nat(END)) }), {
        minLength: 1,
        maxLength: 5,
      }),
      async (readers) => {
        const read: number[] = [];
        const open = numbers(read);
        const members = shareBatches<number>(readers.length);
        const got = await Promise.all(
          readers.map(async ({ from, stopsAfter }, i) => {
            const seen: number[] = [];
            for await (const value of members[i].join(from, open)) {
              seen.push(value);
              await new Promise((resolve) => setTimeout(resolve, value % 2));
              if (stopsAfter !== null && seen.length > stopsAfter) break;
            }
            members[i].leave();
            return seen;
          }),
        );
        for (const [i, { from, stopsAfter }] of readers.entries()) {
          const whole = Array.from({ length: END - from }, (_, k) => from + k);
          expect(got[i]).toEqual(stopsAfter === null ? whole : whole.slice(0, stopsAfter + 1));
        }
        expect(read).toEqual([...new Set(read)].sort((a, b) => a - b));
      },
    ),
    { numRuns: 60 },
  );
});

test('members take turns: one works at a time, in order', async () => {
  const members = shareBatches<number>(3);
  const turns: string[] = [];
  await Promise.all(
    members.map(async (member, i) => {
      for await (const value of member.join(0, numbers([]))) {
        turns.push(`${value}:${i}`);
        if (value === 2) break;
      }
    }),
  );
  expect(turns).toEqual(['0:0', '0:1', '0:2', '1:0', '1:1', '1:2', '2:0', '2:1', '2:2']);
});

test('a member that leaves without joining is not waited for', async () => {
  const [a, b] = shareBatches<number>(2);
  const first = a.join(10, numbers([]))[Symbol.asyncIterator]().next();
  b.leave();
  expect(await first).toEqual({ done: false, value: 10 });
});

test('a read error reaches every member', async () => {
  const members = shareBatches<number>(2);
  // biome-ignore lint/correctness/useYield: it fails before it gives anything.
  const failing = async function* (): AsyncGenerator<number> {
    throw new Error('unreadable');
  };
  const ended = await Promise.allSettled(
    members.map(async (member) => {
      try {
        for await (const _ of member.join(0, failing)) expect.unreachable();
      } finally {
        member.leave();
      }
    }),
  );
  expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});

test('time of other members counts as idle; reading time is divided among them', async () => {
  let clock = 0;
  const [a, b] = shareBatches<number>(2, () => clock);
  const open = async function* (): AsyncGenerator<number> {
    for (;;) {
      clock += 6;
      yield 0;
    }
  };
  const [ofA, ofB] = [a, b].map((member) => member.join(0, open)[Symbol.asyncIterator]());
  const readA = ofA.next();
  const readB = ofB.next();
  await readA;
  expect(a.takeIdle()).toBe(3); // 6 of reading, half of which is its own
  clock += 10; // a's step
  void ofA.next();
  await readB;
  expect(b.takeIdle()).toBe(13);
});
