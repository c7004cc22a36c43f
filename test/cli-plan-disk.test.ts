import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';

const folder = temporaryFolder();
const SLOW = 300_000;

beforeAll(() => writeImages(join(folder, 'images'), { train: 16, val: 4 }));

function bytesIn(path: string): number {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

interface Plan {
  readonly disk_bytes: number;
  readonly phases: readonly { readonly phase: string; readonly checkpoint_bytes: number }[];
}

describe.each([
  [
    'two checkpoints besides the best, with averaged weights',
    { ema: 0.9, keep_checkpoints: 2, checkpoint_every: 0.01 },
  ],
  ['only the newest and the best', { keep_checkpoints: 1, checkpoint_every: 0.01 }],
])('the disk size that plan prints, for %s', (name, training) => {
  test(
    'is that of the run',
    async () => {
      const base = tinyRecipe(join(folder, 'images')) as { model: object; training: object };
      const recipe = {
        ...base,
        // Large enough that the weights outweigh the headers of the files.
        model: { ...base.model, width: 128 },
        training: { ...base.training, ...training },
        phases: { PT: { epochs: 2 }, MT: { epochs: 2 }, FT: { epochs: 2 }, E2E: 'none' },
      };
      const [path, run] = [`${name}.yaml`, name].map((each) => join(folder, each));
      writeFileSync(path, JSON.stringify(recipe));
      const planned = await cli(['plan', path, '--json']);
      const plan = JSON.parse(planned.stdout) as Plan;
      const { code, stderr } = await cli(['run', path, '--out', run, '--quiet']);
      expect({ code, stderr }).toMatchObject({ code: 0 });
      const kept = plan.phases.map(({ phase, checkpoint_bytes: expected }) => {
        const checkpoints = join(run, phase, 'checkpoints');
        const steps = readdirSync(checkpoints).filter((step) => /^\d+$/.test(step));
        for (const step of steps) {
          const ratio = bytesIn(join(checkpoints, step)) / expected;
          expect(ratio).toBeGreaterThan(1);
          expect(ratio).toBeLessThan(1.05);
        }
        return steps.length * expected;
      });
      const sum = kept.reduce((a, b) => a + b, 0);
      expect(bytesIn(run)).toBeLessThan(plan.disk_bytes);
      // The bound also counts a checkpoint of each phase that is being written, and a best one that is not among the newest.
      const beside = plan.phases.reduce((total, { checkpoint_bytes }) => total + 2 * checkpoint_bytes, 0);
      expect(plan.disk_bytes - sum).toBeLessThanOrEqual(beside);
    },
    SLOW,
  );
});
