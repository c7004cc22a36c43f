import { InputError } from '../../base/errors.js';
import type { ModelFamily } from '../family.js';
import { type ResnetConfig, type ResnetFacts, resnetEndOf, resnetFacts } from './geometry.js';
import { torchvision } from './layout-torchvision.js';
import { resnetGraph } from './onnx-graph.js';
import { resnet } from './resnet.js';
import { type ResnetSection, resnetConfigOf, resnetSection } from './section.js';

const CIFAR_SIZE = 32;
const HEAD = /^fc\./;

/** ResNets for CIFAR. */
export const resnetFamily: ModelFamily<ResnetSection, ResnetConfig, ResnetFacts> = {
  name: 'resnet',
  title: 'ResNet for CIFAR',
  section: resnetSection,
  check: (section, source) => {
    resnet(resnetConfigOf(section, source));
  },
  configOf: resnetConfigOf,
  blueprint: resnet,
  // The blocks of a module depend on the number of blocks of each width.
  identity: ({ zeroInit: _, ...config }) => ({ family: 'resnet', ...config }),
  describe: ({ imageSize, channels, classes, blocks, widths, shortcut }) => ({
    family: 'resnet',
    image_size: imageSize,
    channels,
    classes,
    blocks,
    widths,
    shortcut,
  }),
  statedBy: () => ({}),
  layouts: [torchvision],
  endOf: resnetEndOf,
  onnxGraph: resnetGraph,
  card: { kind: 'a ResNet for CIFAR', tags: ['resnet'] },
  recognises: (names) => {
    const all = new Set(names);
    return all.has('conv1.weight') && all.has('bn1.running_mean');
  },
  factsOf: resnetFacts,
  compare: (facts, config, { isMeta }) => [
    // A meta model has fewer blocks, and one of its blocks may skip a width.
    ...(isMeta
      ? []
      : [
          ['blocks of each width', facts.blocks.join(' '), config.blocks.join(' ')] as const,
          ['widths', facts.widths.join(' '), config.widths.join(' ')] as const,
        ]),
    ['channels', facts.channels, config.channels],
    ['shortcut', facts.shortcut, config.shortcut],
  ],
  sectionOfStages: ({ preset: _, ...section }, { blocks, widths }) => ({ ...section, blocks, widths }),
  assumedSection: ({ channels, classes, blocks, widths, shortcut }) => ({
    section: { family: 'resnet', image_size: CIFAR_SIZE, channels, classes, blocks, widths, shortcut },
    assumed: [{ key: 'model.image_size', text: `images of ${CIFAR_SIZE} px (CIFAR's)` }],
  }),
  statedIn: () => ({}),
  statedKeys: () => [],
  requireKnown: () => {},
  // ResNets take images of any size.
  fit: (stages) => ({ stages }),
  resize(_stages, _imageSize, source) {
    throw new InputError(`--resize: ${source} holds a ResNet for CIFAR, which takes images of any size`, {
      hint: 'omit --resize',
    });
  },
  newHead(_, stages) {
    const names = stages.flatMap((stage) => [...stage.keys()]);
    return {
      stages: stages.map((stage) => new Map([...stage].filter(([name]) => !HEAD.test(name)))),
      isFresh: (name) => HEAD.test(name),
      leftOut: names.filter((name) => HEAD.test(name)),
    };
  },
};
