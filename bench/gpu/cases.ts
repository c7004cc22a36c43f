import { readFileSync } from 'node:fs';
import type { Precision } from '../../src/training/trainer.js';
import type { Size } from './models.js';
import { type Settings, settings } from './settings.js';

/** A training step that is timed, ours and PyTorch's. */
export interface Case {
  readonly name: string;
  readonly precision: Precision;
  readonly batch: number;
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  /** The stage that alone is trained; null: all are. */
  readonly target: number | null;
  readonly vit: Size;
  readonly dropPath?: number;
  /** Mixup, cutmix and random erasing. */
  readonly augmented?: boolean;
  /** Ways in which PyTorch does it. */
  readonly torch: readonly ('eager' | 'best')[];
  readonly compile?: boolean;
}

/** Those of cases.json, in a dry run cut down: the number of blocks stays. */
export function readCases({ isTiny }: Pick<Settings, 'isTiny'> = settings): Case[] {
  const all = JSON.parse(readFileSync('bench/gpu/cases.json', 'utf8')) as Case[];
  return isTiny ? all.map(cutDown) : all;
}

/** Blocks, and so kernels, copies and reads, stay as many. */
function cutDown(given: Case): Case {
  const { classes } = given.vit;
  return { ...given, batch: 4, vit: { imageSize: 32, patchSize: 16, classes, width: 32, heads: 2 } };
}

export function caseOf(name: string): Case {
  const found = readCases().find((one) => one.name === name);
  if (found === undefined) throw new Error(`bench/gpu/cases.json has no case ${name}`);
  return found;
}
