import { join } from 'node:path';
import { DeepIncubationError, errorText } from '../../base/errors.js';
import { fashionMnist } from '../../data/formats/idx.js';
import { cacheRoot } from '../../files/home.js';
import { buildInfo } from './engine.js';
import type { Findings } from './findings.js';

/** Checks the image decoders and the images for the demo. */
export async function findDecoding(): Promise<Findings> {
  const parts = [await decoders(), cachedImages()];
  return {
    facts: Object.assign({}, ...parts.map(({ facts }) => facts)),
    lines: parts.flatMap(({ lines }) => lines),
    problems: parts.flatMap(({ problems }) => problems),
  };
}

async function decoders(): Promise<Findings> {
  try {
    const { default: sharp } = await import('sharp');
    const { sharp: version = '?', vips } = sharp.versions;
    const built = buildInfo();
    const turbo = built?.jpeg ? `libjpeg-turbo ${built.jpeg}` : undefined;
    const other = `sharp ${version} with libvips ${vips}`;
    return {
      facts: {
        decoders: { jpeg: turbo ?? 'sharp', sharp: version, libvips: vips, formats: ['png', 'jpeg'] },
      },
      lines: [['decoders', turbo === undefined ? `JPEG and PNG: ${other}` : `JPEG: ${turbo}; PNG: ${other}`]],
      problems: built !== undefined && turbo === undefined ? [SLOW_JPEG] : [],
    };
  } catch (error) {
    return {
      facts: { decoders: null },
      lines: [['decoders', 'none, see below']],
      problems: [
        {
          what: `images cannot be decoded: sharp failed to load: ${errorText(error).split('\n', 1)[0]}`,
          hint: 'run `npm ci --include=optional` on this machine: its binaries are optional packages',
          blocking: false,
        },
      ],
    };
  }
}

const SLOW_JPEG = {
  what: 'JPEGs are decoded by sharp, which is slower and decodes CMYK differently from Pillow',
  hint: 'install libjpeg-turbo 2.1 or newer with its headers (`apt-get install libjpeg-dev`), then run `npx deep-incubation setup`',
  blocking: false,
};

function cachedImages(): Findings {
  const cache = cacheRoot();
  const folder = join(cache, 'fashion-mnist');
  try {
    const { train, val } = fashionMnist(folder);
    return {
      facts: { cache, fashion_mnist: { path: folder, train: train.length, val: val.length } },
      lines: [
        ['cache', cache],
        ['images', `Fashion-MNIST, ${train.length} for training and ${val.length} for evaluation`],
      ],
      problems: [],
    };
  } catch (error) {
    if (!(error instanceof DeepIncubationError)) throw error;
    return {
      facts: { cache, fashion_mnist: null },
      lines: [
        ['cache', cache],
        ['images', 'Fashion-MNIST, which the demo uses, was not found'],
      ],
      problems: [
        {
          what: error.message,
          hint: '`npx deep-incubation setup` downloads it; training on your own images does not need it',
          blocking: false,
        },
      ],
    };
  }
}
