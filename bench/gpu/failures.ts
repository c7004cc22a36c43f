import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Batch } from '../../src/data/dataset.js';
import { assemble } from '../../src/method/assemble.js';
import { vit } from '../../src/models/vit/vit.js';
import { classification } from '../../src/tasks/classification/classification.js';
import { OutOfMemoryError } from '../../src/torch/errors.js';
import { native } from '../../src/torch/native.js';
import { Generator } from '../../src/torch/random.js';
import { adamw } from '../../src/training/optimizers/adamw.js';
import { decayGroups } from '../../src/training/optimizers/optimizer.js';
import { train } from '../../src/training/trainer.js';
import { cli } from './cli.js';
import { limitMemory } from './fake.js';
import { configOf, MEAN, type Size, SMALL, STD } from './models.js';
import { kitRecipe } from './recipe.js';
import { errorAsShown, report } from './report.js';
import { settings } from './settings.js';

const SECTION = 'failures';
const { device, isCuda } = settings;
/** Only a GPU and the fake accelerator can run out of memory. */
const isLimited = isCuda || settings.fakeAddon !== undefined;

interface Attempt {
  readonly size: Size;
  readonly depths: readonly number[];
  readonly batch: number;
  readonly lr?: number;
}

const SMALL_STEP: Attempt = { size: SMALL, depths: [1, 1], batch: 8 };
/** Attention requires more memory than any card has. */
const LARGE_STEP: Attempt = isCuda
  ? {
      size: { imageSize: 224, patchSize: 8, classes: 10, width: 1024, heads: 16 },
      depths: [6, 6],
      batch: 1024,
    }
  : SMALL_STEP;
const FAKE_MEMORY = 1 << 20;

/** Checks the error messages for insufficient memory and non-finite numbers, and whether training still works afterwards. */
export async function failures(): Promise<void> {
  limitMemory(FAKE_MEMORY);
  const large = await attempt(LARGE_STEP);
  limitMemory(Number.MAX_SAFE_INTEGER);
  report({
    section: SECTION,
    check: 'out of memory, in this process',
    ok: isLimited ? large.error instanceof OutOfMemoryError : large.error === undefined,
    ...textOf(large.error),
    memory: memory(),
  });
  const small = await attempt(SMALL_STEP);
  report({
    section: SECTION,
    check: 'a small step after it',
    ok: small.error === undefined,
    ...textOf(small.error),
    memory: memory(),
  });
  const wild = await attempt({ ...SMALL_STEP, lr: 1e30 });
  const { text } = textOf(wild.error);
  report({
    section: SECTION,
    check: 'a loss that is not finite',
    ok: /is (NaN|-?Infinity)/.test(text ?? ''),
    losses: wild.losses,
    text,
  });
  byCommandLine();
}

const memory = () => (isCuda ? native.cudaMemory(0) : null);
const textOf = (error: unknown) => (error === undefined ? {} : { text: errorAsShown(error) });

/** Runs up to four steps. */
async function attempt({ size, depths, batch, lr = 1e-4 }: Attempt) {
  const config = configOf(size, depths);
  const context = { device, dtype: 'F32', generator: new Generator().seed([0]) } as const;
  const losses: number[] = [];
  let free = () => {};
  try {
    const model = assemble(vit(config), depths, null, context);
    const optimizer = adamw(decayGroups(model.trainedParameters(), 0.05));
    free = () => {
      model.free();
      optimizer.free();
    };
    await train({
      model,
      optimizer,
      task: classification({ channels: 3, classes: config.classes, mean: MEAN, std: STD, device }),
      schedule: () => lr,
      batches: sameBatch(batch, config.imageSize),
      steps: 4,
      device,
      seed: 0,
      phase: 'PT',
      afterStep: ({ loss }) => void losses.push(loss),
    });
    return { losses };
  } catch (error) {
    return { losses, error };
  } finally {
    free();
  }
}

async function* sameBatch(size: number, side: number): AsyncGenerator<Batch> {
  const indices = Int32Array.from({ length: size }, (_, slot) => slot);
  const images = new Uint8Array(size * 3 * side * side).fill(7);
  const labels = indices.map((slot) => slot % 10);
  for (;;) yield { size, channels: 3, height: side, width: side, images, labels, indices };
}

/**
 * Runs a phase with insufficient memory through `run`. Without a GPU the phase succeeds: the command line has no fake
 * accelerator.
 */
function byCommandLine(): void {
  const recipe = join(settings.work, 'memory.json');
  const out = join(settings.work, 'memory');
  const given = kitRecipe();
  const { size, batch } = LARGE_STEP;
  const model = isCuda
    ? { image_size: size.imageSize, patch_size: size.patchSize, width: size.width, heads: size.heads }
    : {};
  writeFileSync(
    recipe,
    JSON.stringify({
      ...given,
      model: { ...given.model, ...model },
      training: { ...given.training, batch_size: isCuda ? batch : 16, precision: 'float32' },
      phases: { ...given.phases, PT: { epochs: 1 } },
    }),
  );
  rmSync(out, { recursive: true, force: true });
  const run = cli(['run', recipe, '--out', out, '--only', 'PT', '--quiet'], { timeoutMs: 40_000 });
  const isTold = run.status === 1 && /is out of memory/.test(run.text);
  report({
    section: SECTION,
    check: 'out of memory, by the command line',
    ok: isCuda ? isTold : run.status === 0,
    status: run.status,
    seconds: run.seconds,
    text: run.text,
  });
}
