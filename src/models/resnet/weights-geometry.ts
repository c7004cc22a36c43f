import { InputError } from '../../base/errors.js';
import { blockCount } from '../../weights/layout/model-file-stages.js';
import type { WeightsFacts } from '../family.js';

/** Facts that can be read from the shapes of a ResNet's weights. The image size is not among them. */
export interface ResnetFacts extends WeightsFacts {
  readonly blocks: readonly number[];
  readonly widths: readonly number[];
  readonly shortcut: 'A' | 'B';
}

const STEM = /^(?:conv1|bn1)\./;
const HEAD = /^fc\./;

/** The stage of a ResNet's tensor outside the blocks. */
export function resnetEndOf(name: string): 'first' | 'last' | undefined {
  if (STEM.test(name)) return 'first';
  return HEAD.test(name) ? 'last' : undefined;
}

type Shaped = { readonly shape: readonly number[] };
type Stages = readonly ReadonlyMap<string, Shaped>[];

/**
 * The geometry of a staged ResNet, from the shapes of its weights.
 * @throws InputError naming `source` and the tensor that is missing or has the wrong shape
 */
export function resnetFacts(stages: Stages, source: string): ResnetFacts {
  const [first, last] = [stages[0], stages[stages.length - 1]];
  if (first === undefined || last === undefined) throw new InputError(`${source}: has no stages`);
  const [stem, channels, height] = shapeOf(first, 'conv1.weight', source);
  if (height !== 3) {
    throw new InputError(
      `${source}: conv1.weight has a kernel of ${height} pixels, but a ResNet for CIFAR has 3`,
      {
        hint: 'ResNets for ImageNet are not supported',
      },
    );
  }
  const depths = stages.map((stage, i) => blockCount(stage.keys(), `${source}, stage ${i}`));
  const groups = [{ width: stem, blocks: 0 }];
  let hasProjection = false;
  for (const [i, stage] of stages.entries()) {
    for (let block = 0; block < depths[i]; block++) {
      const place = `${source}, stage ${i}`;
      const [outputs, inputs] = shapeOf(stage, `blocks.${block}.conv1.weight`, place);
      const before = groups[groups.length - 1];
      if (inputs !== before.width || outputs % inputs !== 0) {
        throw new InputError(
          `${place}: blocks.${block}.conv1.weight has ${inputs} input and ${outputs} output channels, after ${before.width}`,
        );
      }
      shapeOf(stage, `blocks.${block}.conv2.weight`, place);
      if (outputs !== inputs) groups.push({ width: outputs, blocks: 0 });
      groups[groups.length - 1].blocks += 1;
      hasProjection ||= stage.has(`blocks.${block}.downsample.0.weight`);
    }
  }
  return {
    depths,
    channels,
    classes: last.has('fc.weight') ? shapeOf(last, 'fc.weight', source)[0] : null,
    blocks: groups.map(({ blocks }) => blocks),
    widths: groups.map(({ width }) => width),
    shortcut: hasProjection ? 'B' : 'A',
  };
}

function shapeOf(stage: ReadonlyMap<string, Shaped>, name: string, where: string): readonly number[] {
  const shape = stage.get(name)?.shape;
  if (shape === undefined) {
    throw new InputError(`${where}: ${name} is missing`, {
      hint: 'only ResNets with basic blocks are supported',
    });
  }
  return shape;
}
