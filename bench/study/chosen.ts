import type { Rates, SettingName, Strategy } from './settings.js';

/**
 * The rates that were best on held-out training images, by `setting/depth/strategy`. Those of few-passes/128 were found at
 * the demo's budget (docs/results.md, "The demo"), which is 37 % smaller.
 */
const CHOSEN: Readonly<Record<string, Rates>> = {
  'few-passes/128/grown': { MT: 0.0003, FT: 0.0002 },
  'few-passes/128/growth': { FT: 0.0002 },
};

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
