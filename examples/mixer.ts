import * as di from 'deep-incubation';
import * as nn from 'deep-incubation/nn';

const [runDir = 'runs/mixer', path, epochs = '0.5'] = process.argv.slice(2);

/** The MLP-Mixer (Tolstikhin et al. 2021). Its stem: images [B, C, S, S] to patches [B, N, D]. */
class Stem extends di.Layer {
  readonly proj: nn.Linear;
  readonly #patch: number;
  constructor(channels: number, patch: number, width: number, context: nn.InitContext) {
    super();
    this.proj = new nn.Linear(channels * patch ** 2, width, context);
    this.#patch = patch;
  }
  forward(x: nn.Tensor) {
    const [p, channels, grid] = [this.#patch, x.shape[1], x.shape[2] / this.#patch];
    const cells = nn.permute(nn.reshape(x, [-1, channels, grid, p, grid, p]), [0, 2, 4, 1, 3, 5]);
    return this.proj.forward(nn.reshape(cells, [-1, grid ** 2, channels * p ** 2]));
  }
}

/** A block mixes the patches of a channel, then the channels of a patch. */
class Block extends di.Layer {
  readonly norm1: nn.LayerNorm;
  readonly mlp_tokens: nn.Mlp;
  readonly norm2: nn.LayerNorm;
  readonly mlp_channels: nn.Mlp;
  constructor(patches: number, width: number, context: nn.InitContext) {
    super();
    this.norm1 = new nn.LayerNorm(width, 1e-6, context);
    this.mlp_tokens = new nn.Mlp(patches, width / 2, context);
    this.norm2 = new nn.LayerNorm(width, 1e-6, context);
    this.mlp_channels = new nn.Mlp(width, 2 * width, context);
  }
  forward(x: nn.Tensor) {
    const across = this.mlp_tokens.forward(nn.transpose(this.norm1.forward(x), 1, 2));
    const y = nn.add(x, nn.transpose(across, 1, 2));
    return nn.add(y, this.mlp_channels.forward(this.norm2.forward(y)));
  }
}

/** The head: to logits [B, classes]. */
class Head extends di.Layer {
  readonly norm: nn.LayerNorm;
  readonly head: nn.Linear;
  constructor(width: number, classes: number, context: nn.InitContext) {
    super();
    this.norm = new nn.LayerNorm(width, 1e-6, context);
    this.head = new nn.Linear(width, classes, context);
  }
  forward(x: nn.Tensor) {
    return this.head.forward(this.features(x));
  }
  override features(x: nn.Tensor) {
    return nn.mean(this.norm.forward(x), 1);
  }
}

export const mixer = di.defineFamily({
  name: 'mixer',
  title: 'MLP-Mixer',
  keys: { patch: 7, width: 64, depth: 8 },
  blueprint({ imageSize, channels, classes, patch, width, depth }) {
    const patches = (imageSize / patch) ** 2;
    return {
      depth,
      makeStem: (context) => new Stem(channels, patch, width, context),
      makeBlock: (_dropPath, context) => new Block(patches, width, context),
      makeHead: (context) => new Head(width, classes, context),
      zeroBranches: (block) =>
        nn.setToZero((block as Block).mlp_tokens.fc2, (block as Block).mlp_channels.fc2),
      macs: {
        stem: patches * channels * patch ** 2 * width,
        block: () => 5 * patches * width ** 2,
        head: width * classes,
      },
    };
  },
});

const recipe = di.defineRecipe(
  {
    name: 'Mixer',
    model: { family: 'mixer', image_size: 28, channels: 3, classes: 10 },
    incubation: { modules: 4 },
    data: path ? { format: 'folder', path } : { format: 'fashion-mnist' },
    training: {
      epochs: Number(epochs),
      batch_size: 64,
      optimizer: { lr: 2e-3, lr_batch: null },
      // The default schedule warms up for 20 epochs.
      schedule: { kind: 'step-cosine', warmup: 0.1 },
    },
  },
  { families: [mixer] },
);

const results = await di.runRecipe({ recipe, runDir, note: (line) => console.log(line) });
for (const { phase, steps, top1 } of results) console.log(`${phase}: ${steps} steps, top-1 ${top1} %`);
console.log(`npx deep-incubation report ${runDir}`);
