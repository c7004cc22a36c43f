import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { FreedTensorError } from './errors.js';
import { add, mul, ones, sum } from './ops.js';
import { Generator } from './random.js';
import { keep, liveHandles, scope } from './scope.js';
import type { Tensor } from './tensor.js';

/** Handles that `work` leaves alive. */
function left(work: () => void): number {
  const before = liveHandles();
  work();
  return liveHandles() - before;
}

describe('a scope', () => {
  test('frees tensors that it does not return', () => {
    let inner: Tensor | undefined;
    let result: Tensor | undefined;
    const alive = left(() => {
      result = scope(() => {
        inner = ones([2, 2]);
        return sum(add(inner, mul(inner, 3)));
      });
    });
    expect(alive).toBe(1);
    expect(result?.item()).toBe(16);
    expect(inner?.isFreed).toBe(true);
    expect(() => inner?.shape).toThrow(FreedTensorError);
    result?.free();
  });

  test('passes what it returns to the enclosing scope', () => {
    let middle: Tensor | undefined;
    const alive = left(() => {
      scope(() => {
        middle = scope(() => scope(() => ones([3])));
        expect(middle.isFreed).toBe(false);
      });
    });
    expect(alive).toBe(0);
    expect(middle?.isFreed).toBe(true);
  });

  test('keeps the tensors of the enclosing scope, returned or not', () => {
    scope(() => {
      const outer = ones([1]);
      expect(scope(() => outer)).toBe(outer);
      scope(() => add(outer, outer));
      expect(outer.item()).toBe(1);
    });
  });

  test('looks into arrays, maps and plain objects that it returns', () => {
    scope(() => {
      const before = liveHandles();
      const returned = scope(() => {
        ones([9]);
        const twice = ones([1]);
        return {
          list: [ones([2]), [ones([3])]],
          map: new Map([['a', ones([4])]]),
          twice,
          again: twice,
          text: 'x',
          none: null,
        };
      });
      expect(liveHandles() - before).toBe(4);
      expect(returned.list.flat().map((tensor) => tensor.shape)).toEqual([[2], [3]]);
      expect(returned.map.get('a')?.shape).toEqual([4]);
      expect(returned.again.item()).toBe(1);
    });
  });

  test('frees everything if its function throws, and the enclosing scope continues', () => {
    let inside: Tensor | undefined;
    const alive = left(() => {
      scope(() => {
        const outer = ones([1]);
        expect(() =>
          scope(() => {
            inside = ones([1]);
            throw new Error('on purpose');
          }),
        ).toThrow('on purpose');
        expect(inside?.isFreed).toBe(true);
        expect(add(outer, outer).item()).toBe(2);
      });
    });
    expect(alive).toBe(0);
  });

  test('refuses an asynchronous function, whose own failure then is not left unhandled', async () => {
    const unhandled: unknown[] = [];
    const listener = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', listener);
    const work = async () => {
      const x = ones([1]);
      await null;
      return x.item();
    };
    expect(left(() => expect(() => scope(work)).toThrow(TypeError))).toBe(0);
    await delay(10);
    process.off('unhandledRejection', listener);
    expect(unhandled).toEqual([]);
  });

  test('a tensor freed by hand inside is not freed again', () => {
    expect(
      left(() =>
        scope(() => {
          const x = ones([1]);
          x.free();
          x.free();
          expect(x.isFreed).toBe(true);
          expect(String(x)).toBe('freed tensor');
        }),
      ),
    ).toBe(0);
  });
});

test('keep() takes a tensor out of all scopes', () => {
  const kept = scope(() =>
    scope(() => {
      const x = ones([5]);
      expect(keep(x)).toBe(x);
      return { not: 'returned', it: null, x };
    }),
  ).x;
  expect(sum(kept).item()).toBe(5);
  kept.free();
  expect(kept.isFreed).toBe(true);
});

test('a handle is reused, and the old tensor does not see the new one', () => {
  const first = ones([1]);
  const handle = first.handle;
  first.free();
  const second = ones([2]);
  expect(second.handle).toBe(handle);
  expect(() => first.item()).toThrow(FreedTensorError);
  second.free();
});

test('tensors outside scopes are freed by the garbage collector', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  await delay(10);

  const before = liveHandles();
  const held = ones([1]);
  (() => {
    for (let i = 0; i < 100; i++) {
      ones([1]);
      scope(() => keep(ones([1])));
      new Generator();
    }
    // Freed by hand, so it must not be freed again: its handle may belong to another tensor.
    ones([1]).free();
  })();
  expect(liveHandles() - before).toBe(301);
  for (let i = 0; i < 100 && liveHandles() - before > 1; i++) {
    collect();
    await delay(10);
  }
  expect(liveHandles() - before).toBe(1);
  expect(held.item()).toBe(1);
});
