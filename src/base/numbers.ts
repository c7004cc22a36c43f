import { InputError } from './errors.js';

/** @throws InputError naming the option, unless `value` is an integer of at least `least` */
export function requireWhole(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new InputError(`${name} is ${value}`, { hint: `it must be a whole number, at least ${least}` });
}

/** @throws InputError naming the option, unless low <= value <= high */
export function requireWithin(name: string, value: number, low: number, high: number): void {
  if (value >= low && value <= high) return;
  throw new InputError(`${name} is ${value}`, { hint: `it must be a number from ${low} to ${high}` });
}
