import * as di from 'deep-incubation';
import * as nn from 'deep-incubation/nn';

const [scale = '1', path] = process.argv.slice(2);
const context: nn.InitContext = { device: 'cpu', dtype: 'F32', generator: new nn.Generator().seed(['init']) };

const size = { imageSize: 28, patchSize: 7, channels: 3, classes: 10, width: 64, depth: 8, heads: 2 };
const model: di.Divisible = di.vit({
  ...size,
  mlpRatio: 4,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
});

const images = di.openDataset({ format: path ? 'folder' : 'fashion-mnist', path });
const [mean, std] = [Array(3).fill(0.286), Array(3).fill(0.353)];
const task = di.classification({ ...size, mean, std, device: 'cpu' });

async function trained(phase: string, model: di.StagedModel, budget: number) {
  const steps = Math.round(budget * Number(scale));
  const optimizer = di.adamw(di.decayGroups(model.trainedParameters(), 0.05));
  const schedule = di.stepCosine({ lr: 0.002, warmupLr: 0, minLr: 0, steps, warmupSteps: steps / 10 });
  const batches = di.trainBatches({ dataset: images.train, batchSize: 64, seed: 0, phase, steps });
  await di.train({ model, task, optimizer, schedule, batches, steps, seed: 0, phase });
  const { top1, loss } = await di.evaluate({
    model,
    task,
    batches: di.evalBatches({ dataset: images.val, batchSize: 250 }),
  });
  console.log(`${phase.padEnd(4)} top-1 ${top1.toFixed(2)} %, loss ${loss.toFixed(3)}`);
  return model;
}

const target = di.divide(model.depth, { modules: 4 }); // [2, 2, 2, 2]
const meta = await trained('PT', di.assemble(model, di.metaDepths(4), null, context), 400);
const modules: di.Stage[] = [];
for (const i of target.keys()) {
  const hybrid = await trained(`MT/${i}`, di.hybrid(model, target, meta, i, context), 100);
  modules.push(hybrid.stages[i]);
}
await trained('FT', di.assemble(model, target, modules, context), 200);
await trained('E2E', di.assemble(model, target, null, context), 575); // At the same cost: see docs/own-model.md.
