import * as di from 'deep-incubation';
import * as nn from 'deep-incubation/nn';

const [runDir = 'runs/convnet', path, epochs = '2'] = process.argv.slice(2);

/** Images [B, C, S, S] to features [B, width, S, S]. */
class Stem extends di.Layer {
  readonly conv: nn.Conv2d;
  readonly norm: nn.BatchNorm2d;
  constructor(channels: number, width: number, context: nn.InitContext) {
    super();
    this.conv = new nn.Conv2d(channels, width, { kernel: 3, padding: 1, bias: false }, context);
    this.norm = new nn.BatchNorm2d(width, context);
  }
  forward(x: nn.Tensor, pass: di.Pass) {
    return nn.relu(this.norm.forward(this.conv.forward(x), pass));
  }
}

/** [B, inputs, S, S] to [B, outputs, S / stride, S / stride]. */
class Block extends di.Layer {
  readonly conv: nn.Conv2d;
  readonly norm: nn.BatchNorm2d;
  readonly #isSame: boolean;
  constructor(inputs: number, outputs: number, context: nn.InitContext) {
    super();
    const stride = outputs / inputs;
    this.conv = new nn.Conv2d(inputs, outputs, { kernel: 3, stride, padding: 1, bias: false }, context);
    this.norm = new nn.BatchNorm2d(outputs, context);
    this.#isSame = stride === 1;
  }
  forward(x: nn.Tensor, pass: di.Pass) {
    const y = nn.relu(this.norm.forward(this.conv.forward(x), pass));
    return this.#isSame ? nn.add(x, y) : y;
  }
}

/** Features to logits [B, classes]. */
class Head extends di.Layer {
  readonly fc: nn.Linear;
  constructor(width: number, classes: number, context: nn.InitContext) {
    super();
    this.fc = new nn.Linear(width, classes, context);
  }
  forward(x: nn.Tensor) {
    return this.fc.forward(this.features(x));
  }
  override features(x: nn.Tensor) {
    return nn.globalAveragePool2d(x);
  }
}

/** A ConvNet of 2 `half` blocks. Block `half` doubles the channels and halves the side. */
export const convnet = di.defineFamily({
  name: 'convnet',
  title: 'small ConvNet',
  keys: { width: 16, half: 2 },
  blueprint({ imageSize, channels, classes, width, half }) {
    // A block of the meta model stands for several blocks, so it takes the input of the first and gives the output of the last.
    const before = (index: number) => (index <= half ? width : 2 * width);
    const pixels = (outputs: number) => (imageSize * (width / outputs)) ** 2;
    return {
      depth: 2 * half,
      makeStem: (context) => new Stem(channels, width, context),
      makeBlock: (_dropPath, context, { from, to }) => new Block(before(from), before(to), context),
      makeHead: (context) => new Head(2 * width, classes, context),
      macs: {
        stem: 9 * channels * width * imageSize ** 2,
        block: ({ from, to }) => 9 * before(from) * before(to) * pixels(before(to)),
        head: 2 * width * classes,
      },
    };
  },
});

const recipe = di.defineRecipe(
  {
    name: 'ConvNet',
    model: { family: 'convnet', image_size: 28, channels: 3, classes: 10 },
    incubation: { modules: 2 },
    data: path ? { format: 'folder', path } : { format: 'fashion-mnist' },
    training: {
      epochs: Number(epochs),
      batch_size: 64,
      optimizer: { lr: 2e-3, lr_batch: null },
      // The default schedule warms up for 20 epochs.
      schedule: { kind: 'step-cosine', warmup: 0.1 },
    },
  },
  { families: [convnet] },
);

const results = await di.runRecipe({ recipe, runDir, note: (line) => console.log(line) });
for (const { phase, steps, top1 } of results) console.log(`${phase}: ${steps} steps, top-1 ${top1} %`);
console.log(`npx deep-incubation report ${runDir}`);
