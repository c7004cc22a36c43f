import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pickRows } from './columns.js';

const curve = fc
  .array(
    fc.record({ gap: fc.double({ min: 0, max: 5, noNaN: true }), y: fc.double({ noDefaultInfinity: true }) }),
    {
      minLength: 1,
      maxLength: 600,
    },
  )
  .map((points) => {
    let at = 0;
    return {
      x: Float64Array.from(points, ({ gap }) => (at += gap)),
      y: Float64Array.from(points, ({ y }) => y),
    };
  });
const budget = fc.integer({ min: 4, max: 100 });
const real = (values: Iterable<number>) => [...values].filter((value) => !Number.isNaN(value));

test('the least and the greatest value, the first and the last row are always picked', () => {
  fc.assert(
    fc.property(curve, budget, ({ x, y }, most) => {
      const rows = pickRows(x, y, { most });
      const picked = real(rows.map((row) => y[row]));
      const all = real(y);
      expect(Math.min(...picked)).toBe(Math.min(...all));
      expect(Math.max(...picked)).toBe(Math.max(...all));
      expect([rows[0], rows.at(-1)]).toEqual([0, x.length - 1]);
    }),
  );
});

test('rows ascend, without duplicates, at most as many as requested', () => {
  fc.assert(
    fc.property(curve, budget, ({ x, y }, most) => {
      const rows = pickRows(x, y, { most });
      expect(rows).toEqual([...new Set(rows)].sort((a, b) => a - b));
      expect(rows.length).toBeLessThanOrEqual(most);
    }),
  );
});

test('a short range is complete, with one more row at each end', () => {
  fc.assert(
    fc.property(
      curve,
      fc.tuple(fc.double({ min: 0, max: 99, noNaN: true }), fc.double({ min: 0, max: 99, noNaN: true })),
      ({ x, y }, ends) => {
        const [from, to] = ends.sort((a, b) => a - b);
        const inside = [...x.keys()].filter((row) => x[row] >= from && x[row] <= to);
        const rows = pickRows(x, y, { range: [from, to], most: 10_000 });
        expect(rows).toEqual(expect.arrayContaining(inside));
        expect(rows.length).toBeLessThanOrEqual(inside.length + 2);
      },
    ),
  );
});

test('a single peak in a million points is kept', () => {
  const x = Float64Array.from({ length: 1_000_000 }, (_, i) => i);
  const y = x.map((i) => Math.sin(i / 1e4));
  y[765_432] = 9;
  const rows = pickRows(x, y, { most: 800 });
  expect(rows.length).toBeLessThanOrEqual(800);
  expect(rows).toContain(765_432);
});
