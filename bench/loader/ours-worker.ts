/**
 * The loader of deep-incubation with one thread; the counterpart of pytorch/loader.py.
 *
 *   node ours-worker.js '{"folder": ..., "transform": "train", "images": 1024}'
 */
import { createHash } from 'node:crypto';
import type { Batch } from '../../src/data/dataset.js';
import { imageFolder } from '../../src/data/formats/folder.js';
import { evalBatches, trainBatches } from '../../src/data/loader/loader.js';
import { deitTransform } from '../../src/data/transforms/deit-transform.js';
import { drawErasing } from '../../src/data/transforms/erase.js';
import { evalTransform } from '../../src/data/transforms/transform.js';
import type { Settings, Timing } from './side.js';

const SIZE = 224;
const BATCH = 32;
const WARM_UP = 8;

function batchesOf({ folder, transform, images }: Settings): AsyncIterable<Batch> {
  const files = imageFolder(folder);
  const steps = WARM_UP + Math.floor(images / BATCH);
  const length = steps * BATCH;
  const at = (i: number) => i % files.length;
  const dataset = {
    ...files,
    length,
    label: (i: number) => files.label(at(i)),
    source: (i: number) => files.source(at(i)),
  };
  const common = { dataset, batchSize: BATCH, workers: 1 };
  if (transform === 'eval') return evalBatches({ ...common, transform: evalTransform(SIZE) });
  return trainBatches({
    ...common,
    transform: deitTransform({ size: SIZE }),
    erase: (size, random) => drawErasing({ probability: 0.25 }, size, random),
    seed: 0,
    phase: 'PT',
    fromStep: 0,
    steps,
    shuffle: true,
  });
}

async function measure(settings: Settings): Promise<Timing> {
  const iterator = batchesOf(settings)[Symbol.asyncIterator]();
  const next = async (): Promise<Batch> => (await iterator.next()).value;
  const first = await next();
  for (let i = 1; i < WARM_UP; i++) await next();
  const batches = Math.floor(settings.images / BATCH);
  const started = performance.now();
  const used = process.cpuUsage();
  for (let i = 0; i < batches; i++) await next();
  const { user, system } = process.cpuUsage(used);
  return {
    ms: performance.now() - started,
    cpuMs: (user + system) / 1e3,
    images: batches * BATCH,
    digest: createHash('sha256').update(first.images).digest('hex'),
  };
}

process.stdout.write(JSON.stringify(await measure(JSON.parse(process.argv[2]))));
