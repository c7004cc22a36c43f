// Our side of the step bench: runs training steps on request, with JSON lines on stdin and stdout (see worker.ts).
import { createInterface } from 'node:readline';
import { randomStream } from '../../src/base/random.js';
import { assemble } from '../../src/method/assemble.js';
import type { StagedModel } from '../../src/models/staged.js';
import { vit } from '../../src/models/vit/vit.js';
import { loadWeights, weightsOf } from '../../src/nn/weights.js';
import { classification } from '../../src/tasks/classification/classification.js';
import { autocast, backward, clearGrads } from '../../src/torch/autograd.js';
import { native } from '../../src/torch/native.js';
import { Generator } from '../../src/torch/random.js';
import { keep, scope } from '../../src/torch/scope.js';
import { fromArray, fromData, type Tensor } from '../../src/torch/tensor.js';
import { type DataParallel, dataParallel } from '../../src/training/distributed/data-parallel.js';
import { joinGroup } from '../../src/training/distributed/process-group.js';
import { adamw } from '../../src/training/optimizers/adamw.js';
import { decayGroups, type Optimizer } from '../../src/training/optimizers/optimizer.js';
import { readSafetensors, writeSafetensors } from '../../src/weights/safetensors/safetensors.js';
import type { Case } from './cases.js';
import type { Request } from './worker.js';

interface Session {
  readonly case: Case;
  readonly model: StagedModel;
  readonly optimizer: Optimizer;
  readonly task: ReturnType<typeof classification>;
  readonly images: Tensor;
  readonly labels: Tensor;
  /** Set if a launcher's environment specifies that several processes train together. */
  readonly parallel?: DataParallel;
}

const group = joinGroup(process.env, { device: 'cpu' });
const generator = new Generator();
let session: Session | undefined;

/** Writes a case's initial weights, images and labels to a file that both sides read. */
function prepare(what: Case, path: string): void {
  const { vit: config, batch } = what;
  generator.seed(['bench', what.size, what.phase]);
  const context = { device: 'cpu', dtype: 'F32', generator } as const;
  const model = assemble(
    vit(config),
    what.depths,
    what.depths.map(() => null),
    context,
  );
  const draw = randomStream(['bench', what.size]);
  const pixels = Float32Array.from(
    { length: batch * config.channels * config.imageSize ** 2 },
    () => 4 * draw.uniform() - 2,
  );
  const classes = BigInt64Array.from({ length: batch }, () => BigInt(draw.integer(0, config.classes - 1)));
  scope(() => {
    const images = fromArray(pixels, [batch, config.channels, config.imageSize, config.imageSize]);
    const labels = fromArray(classes, [batch]);
    writeSafetensors(
      path,
      new Map([...weightsOf(model), ['images', images.toData()], ['labels', labels.toData()]]),
    );
  });
  model.free();
}

function load(what: Case, path: string, undecayed: readonly string[]): Session {
  const { tensors } = readSafetensors(path);
  const take = (name: string) => {
    const data = tensors.get(name);
    if (data === undefined) throw new Error(`${path} has no ${name}`);
    tensors.delete(name);
    return keep(fromData(data));
  };
  const [images, labels] = [take('images'), take('labels')];
  const context = { device: 'cpu', dtype: 'F32', generator } as const;
  const model = assemble(
    vit(what.vit),
    what.depths,
    what.depths.map(() => null),
    context,
    { regimes: what.regimes },
  );
  loadWeights(model, tensors, path);
  const { channels, classes } = what.vit;
  return {
    case: what,
    model,
    optimizer: adamw(decayGroups(model.trainedParameters(), 0.05, undecayed)),
    task: classification({
      channels,
      classes,
      mean: Array(channels).fill(0),
      std: Array(channels).fill(1),
      labelSmoothing: 0.1,
      device: 'cpu',
    }),
    images,
    labels,
    parallel: group && dataParallel(model.trainedParameters(), group),
  };
}

function free({ model, optimizer, images, labels, parallel }: Session): void {
  parallel?.free();
  model.free();
  optimizer.free();
  images.free();
  labels.free();
}

function steps({ case: { precision }, ...session }: Session, count: number) {
  const { model, optimizer, task, images, labels, parallel } = session;
  const parameters = model.trainedParameters().map(([, parameter]) => parameter);
  const ms: number[] = [];
  const cpuMs: number[] = [];
  const losses: number[] = [];
  const forward = () => task.loss(model.forward(images, { training: true, generator, key: [] }), { labels });
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    const cpuStarted = process.cpuUsage();
    losses.push(
      scope(() => {
        const loss = precision === 'bfloat16' ? autocast('cpu', 'BF16', forward) : forward();
        if (parallel === undefined) backward(loss);
        else parallel.reduce(() => backward(loss));
        return loss.item();
      }),
    );
    optimizer.step(1e-3);
    clearGrads(parameters);
    ms.push(performance.now() - started);
    const { user, system } = process.cpuUsage(cpuStarted);
    cpuMs.push((user + system) / 1e3);
  }
  return { ms, cpuMs, losses };
}

function answer(request: Request): unknown {
  switch (request.cmd) {
    case 'engine':
      return native.engine();
    case 'prepare':
      return prepare(request.case, request.path) ?? {};
    case 'load':
      if (session) free(session);
      session = load(request.case, request.case.tensors, request.case.undecayed);
      return {};
    case 'steps':
      if (!session) throw new Error('load a case first');
      return steps(session, request.n);
  }
}

native.setThreads(Number(process.env.OMP_NUM_THREADS));
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line) as Request))}\n`);
}
group?.close();
