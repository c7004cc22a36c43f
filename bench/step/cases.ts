import { divide, metaDepths } from '../../src/method/divide.js';
import { hybridDepths, hybridRegimes } from '../../src/method/hybrid.js';
import type { Regime } from '../../src/models/staged.js';
import type { VitConfig } from '../../src/models/vit/config.js';

export type Precision = 'float32' | 'bfloat16';

/** A model to train: a size, the whole target or a hybrid, and a precision. */
export interface Case {
  readonly size: string;
  readonly phase: string;
  readonly precision: Precision;
  readonly vit: VitConfig;
  readonly batch: number;
  readonly depths: readonly number[];
  readonly regimes: readonly Regime[];
  /** The trained stage; null if all are trained. */
  readonly target: number | null;
}

const COMMON = { mlpRatio: 4, qkvBias: true, layerNormEps: 1e-6, classToken: true };

const SIZES: Record<string, { vit: VitConfig; batch: number; about: string }> = {
  deit: {
    vit: {
      ...COMMON,
      imageSize: 32,
      patchSize: 4,
      channels: 3,
      classes: 100,
      width: 192,
      depth: 12,
      heads: 3,
    },
    batch: 64,
    about: 'DeiT-T at 32 px: width 192, depth 12, 65 tokens, batch 64',
  },
  demo: {
    vit: { ...COMMON, imageSize: 28, patchSize: 7, channels: 1, classes: 10, width: 64, depth: 32, heads: 2 },
    batch: 128,
    about: "the demo's: width 64, depth 32, 17 tokens, batch 128",
  },
};

const MODULES = 4;

export const sizes: ReadonlyMap<string, string> = new Map(
  Object.entries(SIZES).map(([name, { about }]) => [name, about]),
);

/** All cases: E2E and the hybrids MT/0 ... MT/3 of each size, in each precision. */
export function allCases(): Case[] {
  return Object.keys(SIZES).flatMap((size) =>
    (['float32', 'bfloat16'] as const).flatMap((precision) =>
      [null, 0, 1, 2, 3].map((target) => makeCase(size, precision, target)),
    ),
  );
}

function makeCase(size: string, precision: Precision, target: number | null): Case {
  const { vit, batch } = SIZES[size];
  const modules = divide(vit.depth, { modules: MODULES });
  return {
    size,
    phase: target === null ? 'E2E' : `MT/${target}`,
    precision,
    vit,
    batch,
    depths: target === null ? modules : hybridDepths(modules, metaDepths(MODULES), target),
    regimes: target === null ? modules.map(() => 'trained') : hybridRegimes(MODULES, target),
    target,
  };
}
