import { type Rates, SETTINGS, type SettingName, STRATEGY_KEYS, type Strategy } from './settings.js';

/** One training of the study. */
export interface Cell {
  readonly setting: SettingName;
  readonly depth: number;
  readonly strategy: Strategy;
  readonly seed: number;
  readonly rates: Rates;
  /** Scored on 5,000 training images that are held out, to choose the rates. */
  readonly isSearch: boolean;
}

const HELD_OUT = 5000;

/** `small-data/48/grown/MT-0.001_FT-0.0005/0`: the folder of a cell's run, and the name of its result. */
export function cellName({ setting, depth, strategy, seed, rates, isSearch }: Cell): string {
  const shown = Object.entries(rates).map(([phase, rate]) => `${phase}-${rate}`);
  const parts = [
    setting,
    depth,
    strategy,
    ...(shown.length > 0 ? [shown.join('_')] : []),
    isSearch ? `search-${seed}` : seed,
  ];
  return parts.join('/');
}

/** The cell whose PT a cell starts from: the same setting, depth and seed. */
export function metaCell(cell: Cell): Cell {
  return { ...cell, strategy: 'meta', rates: {} };
}

/** Whether a cell starts from the trained meta model of `metaCell`. */
export function needsMeta({ strategy }: Cell): boolean {
  return strategy === 'fresh' || strategy === 'grown' || strategy === 'growth';
}

/** Arguments of `run` for the phases of a cell; PT of `metaCell` is in the folder `meta`. */
export function runArguments(
  cell: Cell,
  { meta, epochs }: { meta: string; epochs: number | undefined },
): string[] {
  const { strategy, seed, rates, isSearch } = cell;
  const phases = phasesOf(strategy);
  const settings = [
    `seed=${seed}`,
    ...STRATEGY_KEYS[strategy],
    ...Object.entries(rates).map(([phase, rate]) => `phases.${phase}.optimizer.lr=${rate}`),
    ...(isSearch ? [`data.split.val=${HELD_OUT}`] : []),
    ...(needsMeta(cell) ? [`start.meta=${meta}`, 'phases.E2E=none'] : []),
    ...(epochs === undefined ? [] : [`phases.${phases[0]}.epochs=${epochs}`]),
  ];
  return [
    ...(needsMeta(cell) ? [] : ['--only', phases.join(',')]),
    ...settings.flatMap((setting) => ['--set', setting]),
  ];
}

/** The phases that a cell trains itself. */
export function phasesOf(strategy: Strategy): readonly string[] {
  if (strategy === 'meta' || strategy === 'meta-equal-cost') return ['PT'];
  if (strategy === 'fresh' || strategy === 'grown') return ['MT', 'FT'];
  return strategy === 'growth' ? ['FT'] : ['E2E'];
}

export function recipeOf({ setting, depth }: Cell): object {
  return SETTINGS[setting].recipe(depth);
}
