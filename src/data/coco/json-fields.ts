import { InputError } from '../../base/errors.js';

/** The fields of a JSON object. Each method throws an InputError that names the object and the key. */
export interface Fields {
  /** The file and the object, for messages. */
  readonly where: string;
  has(key: string): boolean;
  value(key: string): unknown;
  number(key: string): number;
  integer(key: string): number;
  text(key: string): string;
  list(key: string): readonly unknown[];
  numbers(key: string): readonly number[];
  wrong(key: string, what: string): InputError;
}

/** @throws InputError unless it is a JSON object */
export function fieldsOf(object: unknown, where: string): Fields {
  if (!isObject(object)) throw invalid(`${where} is ${described(object)}, not an object`);
  const wrong = (key: string, what: string) =>
    invalid(`${where}: ${key}${described(object[key], ' ')} ${what}`);
  const checked = <T>(key: string, isValid: (value: unknown) => value is T, kind: string): T => {
    const value = object[key];
    if (isValid(value)) return value;
    throw value === undefined
      ? invalid(`${where}: ${key} is missing`)
      : invalid(`${where}: ${key} is ${described(value)}, not ${kind}`);
  };
  return {
    where,
    has: (key) => object[key] !== undefined,
    value: (key) => object[key],
    number: (key) => checked(key, isNumber, 'a finite number'),
    integer: (key) => checked(key, isInteger, 'a whole number'),
    text: (key) => checked(key, isText, 'a text'),
    list: (key) => checked(key, isList, 'a list'),
    numbers: (key) => checked(key, isNumbers, 'a list of finite numbers'),
    wrong,
  };
}

/** Returns a check that throws an InputError if an id comes twice. */
export function uniqueId(): (fields: Fields) => void {
  const seen = new Set<number>();
  return (fields) => {
    const id = fields.integer('id');
    if (seen.has(id)) throw fields.wrong('id', 'occurs twice');
    seen.add(id);
  };
}

const isNumber = (value: unknown): value is number => Number.isFinite(value);
export const isInteger = (value: unknown): value is number => Number.isSafeInteger(value);
const isText = (value: unknown): value is string => typeof value === 'string';
export const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);
export const isNumbers = (value: unknown): value is readonly number[] =>
  isList(value) && value.every(isNumber);
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !isList(value);

function described(value: unknown, before = ''): string {
  if (typeof value === 'number' || value === null) return `${before}${value}`;
  if (before !== '') return '';
  if (isList(value)) return 'a list';
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : `of type ${typeof value}`;
}

function invalid(message: string): InputError {
  return new InputError(message, { hint: 'correct the file, or write it again' });
}
