import { join } from 'node:path';

/** Settings of one call of bench/gpu/run, from environment variables with defaults. */
export interface Settings {
  /** `cuda:0`; in a dry run `cpu`, or `fake:0` for the fake accelerator. */
  readonly device: string;
  readonly isCuda: boolean;
  /** Whether this is a dry run with small models and few steps. */
  readonly isTiny: boolean;
  /** Folder for findings. */
  readonly out: string;
  /** Folder for temporary files. */
  readonly work: string;
  /** Path of the fake accelerator's addon. */
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

/** The device for the command line and process groups, which do not support the fake accelerator. */
export const knownDevice = settings.isCuda ? settings.device : 'cpu';

export const imagesFolder = join(settings.work, 'images');
export const jpegsFolder = join(settings.work, 'jpegs');
