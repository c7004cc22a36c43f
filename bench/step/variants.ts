import type { Case } from './cases.js';

/** A PyTorch variant of the same step (pytorch/worker.py). */
export interface Variant {
  readonly name: string;
  readonly about: string;
  readonly settings: {
    readonly sdpa: boolean;
    readonly compile: boolean;
    readonly freeze_suffix: boolean;
    readonly fused: boolean;
  };
  readonly applies: (what: Case) => boolean;
}

const OFFICIAL = { sdpa: false, compile: false, freeze_suffix: false, fused: false };
const BEST = { sdpa: true, compile: false, freeze_suffix: true, fused: true };

export const VARIANTS: readonly Variant[] = [
  {
    name: 'eager',
    about:
      'the official code: written-out attention, weight gradients of the frozen suffix computed and dropped, AdamW (foreach)',
    settings: OFFICIAL,
    applies: () => true,
  },
  {
    name: 'eager-frozen',
    about: 'the official code with the suffix frozen for autograd (hybrids alone)',
    settings: { ...OFFICIAL, freeze_suffix: true },
    applies: ({ target }) => target !== null,
  },
  {
    name: 'eager-best',
    about: 'scaled_dot_product_attention, the suffix frozen, AdamW(fused=True)',
    settings: BEST,
    applies: () => true,
  },
  {
    name: 'compile',
    about: 'torch.compile of eager',
    settings: { ...OFFICIAL, compile: true },
    applies: () => true,
  },
  {
    name: 'compile-best',
    about: 'torch.compile of eager-best',
    settings: { ...BEST, compile: true },
    applies: () => true,
  },
];
