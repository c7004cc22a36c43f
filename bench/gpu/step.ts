import { randomFillSync } from 'node:crypto';
import { RunError } from '../../src/base/errors.js';
import type { Batch } from '../../src/data/dataset.js';
import { assemble } from '../../src/method/assemble.js';
import { hybridRegimes } from '../../src/method/hybrid.js';
import { vit } from '../../src/models/vit/vit.js';
import { classification } from '../../src/tasks/classification/classification.js';
import { peakMemory } from '../../src/torch/engine.js';
import { Generator } from '../../src/torch/random.js';
import { adamw } from '../../src/training/optimizers/adamw.js';
import { decayGroups } from '../../src/training/optimizers/optimizer.js';
import type { StepReport } from '../../src/training/step-values.js';
import { train } from '../../src/training/trainer.js';
import { type Case, caseOf } from './cases.js';
import { median } from './compare.js';
import { type Counts, takeCounts } from './fake.js';
import { configOf, MEAN, STD } from './models.js';
import { report } from './report.js';
import { settings } from './settings.js';

const { device, isTiny } = settings;
/** Warm-up steps; minimum and maximum number of timed steps; seconds after which the minimum is enough. */
const [WARM_UP, LEAST, MOST, SECONDS] = isTiny ? [1, 2, 3, 2] : [10, 10, 40, 12];
const BOX = { left: 2, top: 3, width: 8, height: 9 };

/** Times the project's own training loop on one case. The images are bytes in memory, as the loader returns them. */
export async function step(name: string): Promise<void> {
  const given = caseOf(name);
  const started = performance.now();
  const { model, config } = modelOf(given);
  const parameters = model.trainedParameters();
  const task = classification({
    channels: 3,
    classes: config.classes,
    mean: MEAN,
    std: STD,
    labelSmoothing: 0.1,
    device,
  });
  const optimizer = adamw(decayGroups(parameters, 0.05));
  const bias = parameters
    .map(([, tensor]) => tensor)
    .filter(({ shape }) => shape.length === 1)
    .at(-1);
  // The copy waits for the device.
  const wait = () => void bias?.toFloat32Array();
  const clock = createClock(wait);
  const built = performance.now();
  await train({
    model,
    optimizer,
    task,
    precision: given.precision,
    device,
    seed: 0,
    phase: 'kit',
    schedule: () => 1e-4,
    batches: batches(given, config.classes),
    steps: Number.MAX_SAFE_INTEGER,
    afterStep: (report) => clock.tick(report),
  }).catch((error) => {
    if (!(error instanceof Enough)) throw error;
  });
  const { ms, ...times } = clock.stop();
  report({
    section: 'step',
    case: name,
    who: 'ours',
    ms,
    ...times,
    images_per_s: (1000 * given.batch) / ms,
    peak_gb: peakMemory(device) / 1e9,
    first_step_ms: times.first_at - built,
    build_ms: built - started,
  });
}

class Enough extends RunError {}

/** Records the time after each step, and throws `Enough` after the last one. */
function createClock(wait: () => void) {
  const times: number[] = [];
  let first: number | undefined;
  let last: StepReport | undefined;
  const counts: Counts[] = [];
  let cpu = process.cpuUsage();
  return {
    /** Reads no later loss than the first: reading waits for the device. */
    tick(report: StepReport): void {
      first ??= report.loss;
      last = report;
      // Earlier work is not counted.
      if (times.length + 1 === WARM_UP) wait();
      const counted = takeCounts();
      times.push(performance.now());
      const done = times.length - WARM_UP;
      if (done === 0) cpu = process.cpuUsage();
      else if (done > 0 && counted !== undefined) counts.push(counted);
      const isLate = times[times.length - 1] - times[WARM_UP - 1] > SECONDS * 1000;
      if (done >= MOST || (done >= LEAST && isLate)) throw new Enough('enough steps');
    },
    stop() {
      wait();
      const ended = performance.now();
      const used = process.cpuUsage(cpu);
      const steps = times.length - WARM_UP;
      const each = times.slice(WARM_UP).map((time, i) => time - times[WARM_UP + i - 1]);
      return {
        ms: median(each),
        mean_ms: (ended - times[WARM_UP - 1]) / steps,
        min_ms: Math.min(...each),
        max_ms: Math.max(...each),
        steps,
        host_cpu_ms: (used.user + used.system) / 1000 / steps,
        first_at: times[0],
        loss_first: first,
        loss_last: last?.loss,
        ...counts.at(-1),
      };
    },
  };
}

function modelOf({ vit: size, depths, target, dropPath = 0 }: Case) {
  const config = configOf(size, depths);
  const context = { device, dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
  const regimes = target === null ? undefined : hybridRegimes(depths.length, target);
  return { config, model: assemble(vit(config), depths, null, context, { dropPath, regimes }) };
}

/** Cycles through four batches of noise. Augmented batches are mixed or cut, and a quarter of their images is erased. */
async function* batches({ vit: size, batch, augmented }: Case, classes: number): AsyncGenerator<Batch> {
  const side = size.imageSize;
  const indices = Int32Array.from({ length: batch }, (_, slot) => slot);
  const ready = Array.from({ length: 4 }, (_, i): Batch => {
    const plain: Batch = {
      size: batch,
      channels: 3,
      height: side,
      width: side,
      images: randomFillSync(new Uint8Array(batch * 3 * side * side)),
      labels: indices.map((slot) => (slot * 7 + i) % classes),
      indices,
    };
    if (!augmented) return plain;
    const erased = [...indices].filter((slot) => slot % 4 === 0);
    return {
      ...plain,
      mix: i % 2 === 0 ? { lambda: 0.7 } : { lambda: 0.8, box: BOX },
      erased: erased.map((slot) => ({ slot, left: 1, top: 1, width: side >> 2, height: side >> 2 })),
      noiseKey: [0, 'noise', i],
    };
  });
  for (let i = 0; ; i++) yield ready[i % ready.length];
}
