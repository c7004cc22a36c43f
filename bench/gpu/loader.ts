import { availableParallelism } from 'node:os';
import { imageFolder } from '../../src/data/formats/folder.js';
import { trainBatches } from '../../src/data/loader/loader.js';
import { deitTransform } from '../../src/data/transforms/deit-transform.js';
import { drawErasing } from '../../src/data/transforms/erase.js';
import { drawMix } from '../../src/data/transforms/mix.js';
import { MEAN } from './models.js';
import { report } from './report.js';
import { jpegsFolder, settings } from './settings.js';

const [BATCH, WARM_UP, SECONDS] = settings.isTiny ? [8, 1, 0.3] : [128, 6, 5];
const LENGTH = 1_000_000;
const WAYS = [
  { name: 'RandAugment', autoAugment: 'rand-m9-mstd0.5-inc1', fast: true },
  { name: 'crop and flip', autoAugment: null, fast: true },
  { name: 'crop and flip, whole decode', autoAugment: null, fast: false },
];

/** Measures how many images per second all cores read, decode and transform, as in ImageNet training. */
export async function loader(): Promise<void> {
  for (const { name, autoAugment, fast } of WAYS) {
    const batches = trainBatches({
      dataset: endless(),
      batchSize: BATCH,
      workers: availableParallelism(),
      seed: 0,
      phase: 'PT',
      steps: LENGTH / BATCH,
      shuffle: false,
      transform: deitTransform({ size: 224, colorJitter: 0, mean: MEAN, autoAugment, fast }),
      erase: (box, random) => drawErasing({ probability: 0.25 }, box, random),
      mix: (box, random) => drawMix({ mixup: 0.8, cutmix: 1, prob: 1, switch_prob: 0.5 }, box, random),
    })[Symbol.asyncIterator]();
    for (let i = 0; i < WARM_UP; i++) await batches.next();
    const started = performance.now();
    const cpu = process.cpuUsage();
    let images = 0;
    while (performance.now() - started < SECONDS * 1000) images += (await batches.next()).value.size;
    const ms = performance.now() - started;
    const { user, system } = process.cpuUsage(cpu);
    await batches.return?.();
    report({
      section: 'loader',
      check: name,
      ok: images > 0,
      images_per_s: (1000 * images) / ms,
      cpu_ms_per_image: (user + system) / 1000 / images,
      cores: availableParallelism(),
    });
  }
}

/** The JPEGs, repeated. */
function endless() {
  const files = imageFolder(jpegsFolder);
  const at = (i: number) => i % files.length;
  return {
    ...files,
    length: LENGTH,
    label: (i: number) => files.label(at(i)),
    source: (i: number) => files.source(at(i)),
  };
}
