import { expect, test } from 'vitest';
import { joinedPassedOver } from './passed-over.js';

const some = (reason: string, count: number, ...examples: string[]) => ({ reason, count, examples });

test('files of different folders are added, the most frequent reason first', () => {
  const joined = joinedPassedOver([
    [some('named .txt', 1, 'a/x.txt')],
    [some('named .txt', 2, 'b/x.txt', 'b/y.txt')],
  ]);
  expect(joined).toEqual([some('named .txt', 3, 'a/x.txt', 'b/x.txt', 'b/y.txt')]);
  expect(joinedPassedOver([[some('hidden', 1, '.a')], undefined, [some('folders', 2, 'b', 'c')]])).toEqual([
    some('folders', 2, 'b', 'c'),
    some('hidden', 1, '.a'),
  ]);
});

test('the same files of one folder, which both parts list, count once', () => {
  const same = [some('hidden', 2, 'data/.a', 'data/.b')];
  expect(joinedPassedOver([same, structuredClone(same)])).toEqual(same);
});
