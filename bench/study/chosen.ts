import type { Rates, SettingName, Strategy } from './settings.js';

/** The rates that were best in the search, by `setting/depth/strategy`. */
const CHOSEN: Readonly<Record<string, Rates>> = {};

/** The rates of a strategy in a setting at a depth. Without a search, those of earlier trials. */
export function chosenRates(setting: SettingName, depth: number, strategy: Strategy): Rates {
  const known = CHOSEN[`${setting}/${depth}/${strategy}`];
  if (known !== undefined) return known;
  if (strategy === 'meta' || strategy === 'meta-equal-cost') return {};
  if (strategy === 'growth') return { FT: 0.0005 };
  if (strategy === 'fresh' || strategy === 'grown')
    return { MT: setting === 'few-passes' ? 0.002 : 0.001, FT: 0.0005 };
  return { E2E: 0.0005 };
}
