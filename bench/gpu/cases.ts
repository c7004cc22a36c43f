import { readFileSync } from 'node:fs';
import type { Precision } from '../../src/torch/precision.js';
import type { Size } from './models.js';
import { type Settings, settings } from './settings.js';

/** A training step that is timed for our code and for PyTorch. */
export interface Case {
  readonly name: string;
  readonly precision: Precision;
  readonly batch: number;
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  /** The only trained stage; null if all are trained. */
  readonly target: number | null;
  readonly vit: Size;
  readonly dropPath?: number;
  /** Whether to use mixup, cutmix and random erasing. */
  readonly augmented?: boolean;
  /** PyTorch variants to run. */
  readonly torch: readonly ('eager' | 'best')[];
  readonly compile?: boolean;
}

/** Reads cases.json; for a dry run the cases are reduced, but keep their number of blocks. */
export function readCases({ isTiny }: Pick<Settings, 'isTiny'> = settings): Case[] {
  const all = JSON.parse(readFileSync('bench/gpu/cases.json', 'utf8')) as Case[];
  return isTiny ? all.map(cutDown) : all;
}

/** Keeps the number of blocks, and therefore of kernels, copies and reads. */
function cutDown(given: Case): Case {
  const { classes } = given.vit;
  return { ...given, batch: 4, vit: { imageSize: 32, patchSize: 16, classes, width: 32, heads: 2 } };
}

export function caseOf(name: string): Case {
  const found = readCases().find((one) => one.name === name);
  if (found === undefined) throw new Error(`bench/gpu/cases.json has no case ${name}`);
  return found;
}
