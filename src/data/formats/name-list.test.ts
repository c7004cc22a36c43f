import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nameListBuilder } from './name-list.js';

test('names are read back unchanged, including empty ones and all of Unicode', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 400 }), { maxLength: 300 }), (names) => {
      const builder = nameListBuilder();
      for (const name of names) builder.add(name);
      expect(builder.length).toBe(names.length);
      const list = builder.build();
      expect(list.length).toBe(names.length);
      expect(names.map((_, i) => list.at(i))).toEqual(names);
    }),
  );
});
