import { z } from 'zod';
import { InputError } from '../base/errors.js';
import { elementCount } from '../base/tensor-data.js';
import { Generator } from '../torch/random.js';
import { blockCount } from '../weights/layout/model-file-stages.js';
import type { ModelConfig, ModelFamily, ModelSection } from './family.js';
import {
  type BlockSpan,
  type Blueprint,
  type Divisible,
  type Layer,
  type PartCost,
  targetOf,
} from './staged.js';

type Value = number | string | boolean | readonly number[];

/** Geometry of a model of your own: image size, channels and classes, and the family's keys. */
export type OwnConfig<Keys> = ModelConfig & Keys;

/** A divisible model with its number of multiply-accumulates per image, so that a run can be planned. */
export interface OwnBlueprint extends Divisible {
  /** Multiply-accumulates of one image's forward pass. */
  readonly macs: {
    readonly stem: number;
    readonly head: number;
    block(span: BlockSpan): number;
  };
  /** Names of parameters, other than biases and vectors, without weight decay when the whole model is trained. Default: none. */
  readonly undecayed?: readonly string[];
}

export interface OwnFamily<Keys extends Readonly<Record<string, Value>>> {
  /** The value of `model.family` in recipes. */
  readonly name: string;
  /** For messages. Default: the name. */
  readonly title?: string;
  /** The keys of a recipe's section `model`, beside `image_size`, `channels` and `classes`, and their defaults. */
  readonly keys: Keys;
  /** @throws InputError if the keys cannot be combined */
  blueprint(config: OwnConfig<Keys>): OwnBlueprint;
}

/**
 * A family of models of your own. With it, a recipe can name the family, and `runRecipe` trains the recipe in a run folder. The
 * parameters of each part are counted by building it.
 * @throws InputError if the name or a key cannot be used; when a recipe is planned, if the blueprint has no `macs`
 *
 * @example
 * class Dense extends Layer {
 *   readonly linear: Linear;
 *   constructor(linear: Linear) {
 *     super();
 *     this.linear = linear;
 *   }
 *   forward(x: Tensor): Tensor {
 *     return gelu(this.linear.forward(reshape(x, [x.shape[0], -1])));
 *   }
 * }
 * const family = defineFamily({
 *   name: 'dense',
 *   keys: { width: 8, depth: 4 },
 *   blueprint: ({ imageSize, channels, classes, width, depth }) => ({
 *     depth,
 *     makeStem: (context) => new Dense(new Linear(channels * imageSize ** 2, width, context)),
 *     makeBlock: (_dropPath, context) => new Dense(new Linear(width, width, context)),
 *     makeHead: (context) => new Dense(new Linear(width, classes, context)),
 *     macs: { stem: channels * imageSize ** 2 * width, block: () => width ** 2, head: width * classes },
 *   }),
 * });
 * const recipe = defineRecipe(
 *   {
 *     name: 'mine',
 *     model: { family: 'dense', image_size: 8, channels: 3, classes: 2 },
 *     incubation: { modules: 2 },
 *     data: { format: 'folder', path: 'images' },
 *   },
 *   { families: [family] },
 * );
 * console.log(phasesOf(recipe).map(({ name }) => name)); // PT, MT/0, MT/1, FT
 */
export function defineFamily<const Keys extends Readonly<Record<string, Value>>>({
  name,
  title = name,
  keys,
  blueprint,
}: OwnFamily<Keys>): ModelFamily {
  const configOf = (section: ModelSection): OwnConfig<Keys> => {
    const { family: _, image_size: imageSize, channels, classes, ...own } = section;
    return { imageSize, channels, classes, ...own } as unknown as OwnConfig<Keys>;
  };
  requireUsableNames(name, keys);
  const headNames = (config: ModelConfig) => namesOf(blueprint(config as OwnConfig<Keys>), 'makeHead');
  return {
    name,
    title,
    section: sectionOf(name, keys),
    check: () => {},
    configOf,
    blueprint: (config) => blueprintOf(config, withMacs(name, blueprint(config as OwnConfig<Keys>))),
    identity: (config) => ({ family: name, ...config }),
    describe: ({ imageSize, channels, classes, ...own }) => ({
      family: name,
      image_size: imageSize,
      channels,
      classes,
      ...own,
    }),
    statedBy: () => ({}),
    layouts: [],
    endOf: () => undefined,
    endOfParts(config) {
      const stem = namesOf(blueprint(config as OwnConfig<Keys>), 'makeStem');
      const head = headNames(config);
      return (tensor) => (stem.has(tensor) ? 'first' : head.has(tensor) ? 'last' : undefined);
    },
    card: { kind: `a model of the family ${name}`, tags: [] },
    recognises: () => false,
    factsOf(stages, source, stated) {
      const depths = stages.map((stage, i) => blockCount(stage.keys(), `${source}: stages.${i}`));
      if (stated === undefined) {
        throw new InputError(`${source}: nothing states which model of the family ${name} it contains`, {
          hint: "use the checkpoint of a run, with its manifest.json, or name the weights in start of the family's recipe",
        });
      }
      return { depths, channels: Number(stated.channels), classes: Number(stated.classes) };
    },
    compare: (facts, config) => [['channels', facts.channels, config.channels]],
    // Which key is the number of blocks, if any, is not known.
    sectionOfStages: (section) => section,
    modulesOf: (section, depths) =>
      targetOf(blueprint(configOf(section as unknown as ModelSection)).depth, depths),
    assumedSection: () => ({ section: {}, assumed: [] }),
    statedIn: (section) => ({ own: section }),
    statedKeys: (section, _config, { own }) =>
      Object.keys(keys).map((key) => ({
        key,
        value: own?.[key],
        used: (section as unknown as Record<string, unknown>)[key],
        isFilled: false,
      })),
    requireKnown: () => {},
    fit: (stages) => ({ stages }),
    resize: (_stages, _imageSize, source) => {
      throw new InputError(`${source}: weights of the family ${name} cannot be resized`, {
        hint: 'use images of the size that the model was trained on',
      });
    },
    newHead(config, stages) {
      const names = headNames(config);
      const last = stages.at(-1) ?? new Map();
      return {
        stages: [...stages.slice(0, -1), new Map([...last].filter(([tensor]) => !names.has(tensor)))],
        isFresh: (tensor) => names.has(tensor),
        leftOut: [...last.keys()].filter((tensor) => names.has(tensor)),
      };
    },
  };
}

/** Keys that every section `model` has. */
const SHARED = ['family', 'image_size', 'channels', 'classes'];

function requireUsableNames(name: string, keys: object): void {
  if (name.trim() === '') throw new InputError('defineFamily: the name is empty');
  const taken = Object.keys(keys).find((key) => SHARED.includes(key));
  if (taken === undefined) return;
  throw new InputError(`defineFamily: ${name}: the key ${taken} is one that every model has`, {
    hint: 'remove it from keys: the blueprint gets imageSize, channels and classes anyway',
  });
}

/** Names of the parameters and buffers of the stem or the head. */
function namesOf(blueprint: OwnBlueprint, make: 'makeStem' | 'makeHead'): ReadonlySet<string> {
  const part = blueprint[make]({
    device: 'cpu',
    dtype: 'F32',
    generator: new Generator().seed([0, 'names']),
  });
  const names = new Set(Array.from(part.namedWeights(), ([tensor]) => tensor));
  part.free();
  return names;
}

/** The section `model` of a recipe. A key has the type of its default. */
function sectionOf(name: string, keys: Readonly<Record<string, Value>>): z.ZodObject {
  const count = z.int().positive();
  const own = Object.entries(keys).map(([key, value]) => [key, withDefault(value)]);
  return z.strictObject({
    family: z.literal(name),
    image_size: count,
    channels: count.default(3),
    classes: count,
    ...Object.fromEntries(own),
  });
}

function withDefault(value: Value): z.ZodType {
  if (typeof value === 'number') return (Number.isInteger(value) ? z.int() : z.number()).default(value);
  if (typeof value === 'string') return z.string().default(value);
  return typeof value === 'boolean' ? z.boolean().default(value) : z.array(z.number()).default([...value]);
}

/** @throws InputError if the numbers of multiply-accumulates are missing, which the types forbid but JavaScript allows */
function withMacs(name: string, model: OwnBlueprint): OwnBlueprint {
  const { stem, head, block }: Partial<OwnBlueprint['macs']> = model.macs ?? {};
  if (typeof stem === 'number' && typeof head === 'number' && typeof block === 'function') return model;
  throw new InputError(`the blueprint of the family ${name} has no complete macs`, {
    hint: 'give it macs: { stem: number, head: number, block: (span) => number }, the multiply-accumulates of one image',
  });
}

function blueprintOf(
  { channels, imageSize, classes }: ModelConfig,
  { macs, undecayed = [], ...model }: OwnBlueprint,
): Blueprint {
  const context = () =>
    ({ device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'cost']) }) as const;
  const counted = new Map<string, ReturnType<typeof countsOf>>();
  const cost = (key: string, partMacs: number, make: () => Layer): PartCost => {
    const counts = counted.get(key) ?? countsOf(make());
    counted.set(key, counts);
    return { macs: partMacs, ...counts };
  };
  return {
    ...model,
    input: { channels, size: imageSize },
    classes,
    undecayed,
    cost: {
      get stem() {
        return cost('stem', macs.stem, () => model.makeStem(context()));
      },
      get head() {
        return cost('head', macs.head, () => model.makeHead(context()));
      },
      block: (span) =>
        cost(`${span.from}-${span.to}`, macs.block(span), () =>
          model.makeBlock(0, context(), { ...span, isLast: false }),
        ),
    },
  };
}

function countsOf(part: Layer): Pick<PartCost, 'parameters' | 'inMatrices'> {
  const shapes = part.parameters().map(({ shape }) => shape);
  part.free();
  const sum = (some: typeof shapes) => some.reduce((total, shape) => total + elementCount(shape), 0);
  return { parameters: sum(shapes), inMatrices: sum(shapes.filter(({ length }) => length === 2)) };
}
