import { parse } from 'yaml';
import { errorText, InputError } from '../base/errors.js';
import { randomStream } from '../base/random.js';
import type { Phase } from '../recipe/phase.js';

/** How the settings of the trials are chosen. */
export type SweepMethod = 'grid' | 'random' | 'halving';

/** The values of a recipe key: a list, or a range to draw from. */
type SweepValues =
  | { readonly kind: 'list'; readonly values: readonly string[] }
  | { readonly kind: 'uniform' | 'log'; readonly low: number; readonly high: number };

/** A recipe key and its values. */
export interface SweepKey {
  readonly key: string;
  readonly values: SweepValues;
}

/** A trial: the settings by which its recipe differs, each `key=value`. */
export interface Trial {
  readonly name: string;
  readonly settings: readonly string[];
}

const FORM = 'write key=value1,value2, or for random trials key=uniform(0,0.5) or key=log(1e-5,1e-2)';

/**
 * Reads `key=v1,v2,...` (values are YAML; commas within brackets, braces or quotes belong to a value), `key=uniform(low,high)` or
 * `key=log(low,high)`.
 * @throws InputError if the text has another form, a value is not YAML, or a value occurs twice
 */
export function sweepKey(text: string): SweepKey {
  const split = text.indexOf('=');
  const key = text.slice(0, Math.max(split, 0)).trim();
  const given = text.slice(split + 1).trim();
  if (split < 1 || given === '') throw new InputError(`--set ${text}: expected key=v1,v2`, { hint: FORM });
  const range = /^(uniform|log)\(\s*([^,()]+)\s*,\s*([^,()]+)\s*\)$/.exec(given);
  if (range !== null)
    return { key, values: rangeOf(text, range[1] as 'uniform' | 'log', range[2], range[3]) };
  const values = atTopLevel(given).map((value) => value.trim());
  for (const value of values) requireYaml(text, value);
  if (new Set(values).size < values.length) {
    throw new InputError(`--set ${text}: a value occurs twice`, { hint: 'list each value once' });
  }
  return { key, values: { kind: 'list', values } };
}

function rangeOf(text: string, kind: 'uniform' | 'log', from: string, to: string): SweepValues {
  const [low, high] = [Number(from), Number(to)];
  const isValid =
    Number.isFinite(low) && low < high && Number.isFinite(high) && (kind === 'uniform' || low > 0);
  if (isValid) return { kind, low, high };
  throw new InputError(`--set ${text}: invalid range`, {
    hint: `a range is ${kind}(low,high) with low < high${kind === 'log' ? ' and low > 0' : ''}`,
  });
}

function requireYaml(text: string, value: string): void {
  if (value === '') throw new InputError(`--set ${text}: a value is empty`, { hint: FORM });
  try {
    parse(value);
  } catch (error) {
    throw new InputError(`--set ${text}: ${value} is not valid YAML: ${errorText(error).split('\n', 1)[0]}`, {
      hint: FORM,
    });
  }
}

const OPENING = '[{(';
const CLOSING = ']})';

function atTopLevel(text: string): string[] {
  const parts = [''];
  let depth = 0;
  let quote = '';
  for (const character of text) {
    if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === '"' || character === "'") quote = character;
    else if (OPENING.includes(character)) depth++;
    else if (CLOSING.includes(character)) depth--;
    if (character === ',' && depth === 0 && quote === '') parts.push('');
    else parts[parts.length - 1] += character;
  }
  return parts;
}

const MOST_TRIALS = 10_000;

/** Every combination of the values; the last key varies fastest. */
export function gridTrials(keys: readonly SweepKey[]): Trial[] {
  const count = keys.reduce((product, key) => product * listOf(key).length, 1);
  requireFew(count);
  const combinations = keys.reduce<string[][]>(
    (before, key) =>
      before.flatMap((settings) => listOf(key).map((value) => [...settings, `${key.key}=${value}`])),
    [[]],
  );
  return named(combinations);
}

function listOf({ key, values }: SweepKey): readonly string[] {
  if (values.kind === 'list') return values.values;
  throw new InputError(`--set ${key}: a grid has no ranges`, {
    hint: 'list the values, or use --method random',
  });
}

/**
 * `count` trials whose values are drawn independently. A trial depends only on the seed, its number and the keys. Without ranges,
 * trials are combinations of the grid, without repetition.
 * @throws InputError if the grid has fewer combinations
 */
export function randomTrials(
  keys: readonly SweepKey[],
  { count, seed }: { readonly count: number; readonly seed: number },
): Trial[] {
  requireFew(count);
  const found = new Map<string, string[]>();
  const possible = keys.reduce(
    (product, { values }) =>
      product * (values.kind === 'list' ? values.values.length : Number.POSITIVE_INFINITY),
    1,
  );
  if (count > possible) {
    throw new InputError(`--trials ${count}: there are only ${possible} combinations`, {
      hint: `use --trials ${possible}, or --method grid`,
    });
  }
  for (let draw = 0; found.size < count; draw++) {
    const settings = keys.map((each) => `${each.key}=${drawn(each, seed, draw)}`);
    const id = settings.join('\n');
    if (!found.has(id)) found.set(id, settings);
  }
  return named([...found.values()]);
}

function drawn({ key, values }: SweepKey, seed: number, draw: number): string {
  const random = randomStream([seed, 'sweep', draw, key]);
  if (values.kind === 'list') return values.values[random.integer(0, values.values.length - 1)];
  const { kind, low, high } = values;
  const share = random.uniform();
  const value = kind === 'log' ? low * (high / low) ** share : low + share * (high - low);
  return String(Number(value.toPrecision(6)));
}

function requireFew(count: number): void {
  if (count <= MOST_TRIALS) return;
  throw new InputError(`${count} trials are more than ${MOST_TRIALS}`, {
    hint: 'use fewer values, or --method random',
  });
}

function named(combinations: readonly (readonly string[])[]): Trial[] {
  const digits = Math.max(2, String(combinations.length - 1).length);
  return combinations.map((settings, i) => ({ name: String(i).padStart(digits, '0'), settings }));
}

/** A round of successive halving: how many trials train, and the share of the recipe's epochs that each gets. */
export interface Rung {
  readonly trials: number;
  readonly share: number;
}

/**
 * The rounds of successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943): each keeps the best 1/eta of the trials, rounded
 * up, and gives them eta times the epochs. The last round trains the full length.
 */
export function halvingRungs(trials: number, eta: number): Rung[] {
  const sizes = [trials];
  while (sizes[sizes.length - 1] > 1) sizes.push(Math.ceil(sizes[sizes.length - 1] / eta));
  return sizes.map((size, i) => ({ trials: size, share: eta ** (i - sizes.length + 1) }));
}

/**
 * Settings that train every phase of a recipe for a share of its epochs. The warm-up and the milestones are shortened as much. A
 * baseline of equal cost follows the other phases.
 * @param ownModules numbers of the modules that have a section of their own, `phases.modules.<number>`
 */
export function budgetSettings(
  phases: readonly Phase[],
  ownModules: readonly string[],
  share: number,
): string[] {
  if (share === 1) return [];
  const settings = new Map<string, string>();
  for (const phase of phases.filter(({ equalCost }) => !equalCost)) {
    const section = sectionOf(phase, ownModules);
    const { epochs, schedule } = phase.settings;
    settings.set(`${section}.epochs`, short(epochs * share));
    settings.set(`${section}.schedule.warmup`, short(schedule.warmup * share));
    const milestones = schedule.milestones.map((epoch) => short(epoch * share));
    if (milestones.length > 0) settings.set(`${section}.schedule.milestones`, `[${milestones.join(', ')}]`);
  }
  return [...settings].map(([key, value]) => `${key}=${value}`);
}

/** The section of the recipe for a phase: `phases.MT` for all modules without a section of their own. */
function sectionOf({ name }: Phase, ownModules: readonly string[]): string {
  const module = /^MT\/(\d+)$/.exec(name)?.[1];
  if (module === undefined) return `phases.${name}`;
  return ownModules.includes(module) ? `phases.modules.${module}` : 'phases.MT';
}

function short(value: number): string {
  return String(Number(value.toPrecision(6)));
}
