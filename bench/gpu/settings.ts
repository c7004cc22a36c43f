import { join } from 'node:path';

/** How one call of bench/gpu/run is set: its environment variables, with their defaults. */
export interface Settings {
  /** `cuda:0`; in a dry run `cpu`, or the fake accelerator's `fake:0`. */
  readonly device: string;
  readonly isCuda: boolean;
  /** Small models and few steps: a dry run. */
  readonly isTiny: boolean;
  /** For findings. */
  readonly out: string;
  /** For what is made on the way. */
  readonly work: string;
  /** The fake accelerator's addon. */
  readonly fakeAddon: string | undefined;
}

function readSettings(env: NodeJS.ProcessEnv): Settings {
  const device = env.KIT_DEVICE || 'cuda:0';
  return {
    device,
    isCuda: device.startsWith('cuda'),
    isTiny: env.KIT_SCALE === 'tiny',
    out: env.OUT || '.',
    work: env.KIT_WORK || '/tmp/gpu-kit',
    fakeAddon: env.KIT_FAKE || undefined,
  };
}

export const settings: Settings = readSettings(process.env);

/** What the command line and process groups use: neither knows the fake accelerator. */
export const knownDevice = settings.isCuda ? settings.device : 'cpu';

export const imagesFolder = join(settings.work, 'images');
export const jpegsFolder = join(settings.work, 'jpegs');
