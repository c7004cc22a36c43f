import { join } from 'node:path';
import * as di from 'deep-incubation';
import * as nn from 'deep-incubation/nn';
import { expect, test } from 'vitest';
import { temporaryFolder } from './cli-support.js';

// The statements of docs/own-model.md about custom models, tasks and optimisers, except its example.

const folder = temporaryFolder();
const context = () =>
  ({ device: 'cpu', dtype: 'F32', generator: new nn.Generator().seed(['own']) }) satisfies nn.InitContext;
const [WIDTH, SIZE] = [8, 16];

/** A layer with a constant. */
class Block extends di.Layer {
  readonly norm: nn.LayerNorm;
  readonly steps: readonly nn.Linear[];
  readonly #half = nn.fromArray(Float32Array.of(0.5), [1]);
  constructor(at: nn.InitContext) {
    super();
    this.norm = new nn.LayerNorm(WIDTH, 1e-6, at);
    this.steps = [new nn.Linear(WIDTH, WIDTH, at), new nn.Linear(WIDTH, WIDTH, at)];
  }
  forward(x: nn.Tensor): nn.Tensor {
    const y = this.steps.reduce((input, layer) => nn.gelu(layer.forward(input)), this.norm.forward(x));
    return nn.add(x, nn.mul(y, this.#half));
  }
}

class Dense extends di.Layer {
  readonly proj: nn.Linear;
  constructor(inputs: number, outputs: number, at: nn.InitContext) {
    super();
    this.proj = new nn.Linear(inputs, outputs, at);
  }
  forward(x: nn.Tensor): nn.Tensor {
    return this.proj.forward(nn.reshape(x, [x.shape[0], -1]));
  }
}

const dense: di.Divisible = {
  depth: 4,
  makeStem: (at) => new Dense(SIZE, WIDTH, at),
  makeBlock: (_rate, at) => new Block(at),
  makeHead: (at) => new Dense(WIDTH, 1, at),
};

/** Images in memory; the task is to predict their brightness. */
const dataset: di.Dataset = {
  length: 32,
  classes: ['any'],
  label: () => 0,
  describe: (i) => `image ${i}`,
  source: (i) => ({ width: 4, height: 4, channels: 1, data: new Uint8Array(SIZE).fill(8 * i) }),
};

const ERROR: di.Metric = {
  name: 'mse',
  label: 'MSE',
  title: 'Mean squared error',
  unit: '',
  better: 'lower',
  isShareOfImages: false,
};

/** The squared distance to the mean pixel. */
const brightness: di.Task<nn.Tensor> = {
  metrics: { primary: ERROR, all: [ERROR], shown: [ERROR] },
  prepare({ images, size }) {
    const input = nn.divide(nn.to(nn.fromArray(images, [size, SIZE]), { dtype: 'F32' }), 255);
    return { input, target: nn.reshape(nn.mean(input, 1), [size, 1]) };
  },
  loss(output, target) {
    const off = nn.sub(output, target);
    return nn.mean(nn.mul(off, off));
  },
  score(output, target) {
    return { loss: output.shape[0] * this.loss(output, target).item() };
  },
  summarize: ({ loss }, images) => ({ mse: loss / images }),
};

const addTo = nn.tensorOperator('aten::add_', 'Tensor');
/** Plain gradient descent, without state. */
function descent(parameters: readonly (readonly [string, nn.Tensor])[]): di.Optimizer {
  return {
    step: (lr) =>
      nn.noGrad(() =>
        nn.scope(() => {
          for (const [, parameter] of parameters) {
            if (parameter.grad !== null) addTo(parameter, nn.mul(parameter.grad, -lr));
          }
        }),
      ),
    state: () => new Map(),
    load: () => {},
    free: () => {},
  };
}

async function trained(model: di.StagedModel, optimizer: di.Optimizer): Promise<di.Evaluation> {
  const run = { seed: 0, phase: 'FT', steps: 80 };
  const batches = di.trainBatches({ ...run, dataset, batchSize: 8 });
  await di.train({ ...run, model, task: brightness, optimizer, schedule: () => 0.1, batches });
  return di.evaluate({ model, task: brightness, batches: di.evalBatches({ dataset, batchSize: 10 }) });
}

test('a custom task and a custom optimiser work; plain descent equals that of the library, up to rounding', async () => {
  const [mine, theirs] = [1, 2].map(() => di.assemble(dense, [2, 2], null, context()));
  const before = await di.evaluate({
    model: mine,
    task: brightness,
    batches: di.evalBatches({ dataset, batchSize: 10 }),
  });
  const after = await trained(mine, descent(mine.trainedParameters()));
  expect(after.images).toBe(32);
  expect(after.mse).toBeCloseTo(after.loss, 12);
  expect(after.loss).toBeLessThan(before.loss / 10);
  const groups = [{ weightDecay: 0, parameters: theirs.trainedParameters() }];
  const library = await trained(theirs, di.sgd(groups, { momentum: 0 }));
  expect(library.loss).toBeCloseTo(after.loss, 6);
  for (const [i, parameter] of mine.parameters().entries()) {
    const other = theirs.parameters()[i].toFloat32Array();
    for (const [at, value] of parameter.toFloat32Array().entries()) expect(value).toBeCloseTo(other[at], 4);
  }
});

test('a custom model is saved and read; a constant in a #private field is not saved', async () => {
  const model = di.assemble(dense, [1, 3], null, context());
  await trained(model, di.adamw(di.decayGroups(model.trainedParameters(), 0.05)));
  const path = join(folder, 'own.safetensors');
  di.writeModelFile(path, model.stages.map(nn.weightsOf), { to: 'deep-incubation' });
  const file = await di.readModelFile(path);
  const stages = file.stages.map((weights) => ({ weights, source: file.path }));
  const again = di.assemble(dense, [1, 3], stages, context());
  expect(nn.weightsOf(again)).toEqual(nn.weightsOf(model));
  expect([...nn.weightsOf(again).keys()]).toContain('stages.1.blocks.2.steps.1.weight');
  expect([...nn.weightsOf(again).keys()].filter((name) => name.includes('half'))).toEqual([]);
  const other = di.assemble(dense, [2, 2], null, context());
  expect(() => di.assemble(dense, [2, 2], stages, context())).toThrow(/own.safetensors, stage 0 has no/);
  other.free();
});
