import * as di from 'deep-incubation';
import * as nn from 'deep-incubation/nn';

const [scale = '1', path] = process.argv.slice(2);
const [PATCH, GRID, WIDTH, CLASSES] = [7, 4, 64, 10]; // 28 x 28 pixels: 4 x 4 patches
const context: nn.InitContext = { device: 'cpu', dtype: 'F32', generator: new nn.Generator().seed(['init']) };

/** The MLP-Mixer (Tolstikhin et al. 2021). Its stem: images [B, 3, S, S] to patches [B, N, D]. */
class Stem extends di.Layer {
  readonly proj = new nn.Linear(3 * PATCH ** 2, WIDTH, context);
  forward(x: nn.Tensor) {
    const cells = nn.permute(nn.reshape(x, [-1, 3, GRID, PATCH, GRID, PATCH]), [0, 2, 4, 1, 3, 5]);
    return this.proj.forward(nn.reshape(cells, [-1, GRID ** 2, 3 * PATCH ** 2]));
  }
}

/** A block mixes the patches of a channel, then the channels of a patch. */
class Block extends di.Layer {
  readonly norm1 = new nn.LayerNorm(WIDTH, 1e-6, context);
  readonly mlp_tokens = new nn.Mlp(GRID ** 2, WIDTH / 2, context);
  readonly norm2 = new nn.LayerNorm(WIDTH, 1e-6, context);
  readonly mlp_channels = new nn.Mlp(WIDTH, 2 * WIDTH, context);
  forward(x: nn.Tensor) {
    const across = this.mlp_tokens.forward(nn.transpose(this.norm1.forward(x), 1, 2));
    const y = nn.add(x, nn.transpose(across, 1, 2));
    return nn.add(y, this.mlp_channels.forward(this.norm2.forward(y)));
  }
}

/** The head: to logits [B, classes]. */
class Head extends di.Layer {
  readonly norm = new nn.LayerNorm(WIDTH, 1e-6, context);
  readonly head = new nn.Linear(WIDTH, CLASSES, context);
  forward(x: nn.Tensor) {
    return this.head.forward(nn.mean(this.norm.forward(x), 1));
  }
}

const [makeStem, makeBlock, makeHead] = [() => new Stem(), () => new Block(), () => new Head()];
export const mixer: di.Divisible = { depth: 8, makeStem, makeBlock, makeHead };

const images = di.openDataset({ format: path ? 'folder' : 'fashion-mnist', path });
const [mean, std] = [Array(3).fill(0.286), Array(3).fill(0.353)];
const task = di.classification({ channels: 3, classes: CLASSES, mean, std, device: 'cpu' });

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

const target = di.divide(mixer.depth, { modules: 4 }); // [2, 2, 2, 2]
const meta = await trained('PT', di.assemble(mixer, di.metaDepths(4), null, context), 400);
const modules: di.Stage[] = [];
for (const i of target.keys()) {
  const hybrid = await trained(`MT/${i}`, di.hybrid(mixer, target, meta, i, context), 100);
  modules.push(hybrid.stages[i]);
}
await trained('FT', di.assemble(mixer, target, modules, context), 200);
await trained('E2E', di.assemble(mixer, target, null, context), 575); // At the same cost: see docs/own-model.md.
