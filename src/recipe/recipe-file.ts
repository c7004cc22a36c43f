import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isScalar, LineCounter, parse, parseDocument, visit } from 'yaml';
import { errorText, InputError } from '../base/errors.js';
import { expandHome } from '../files/home.js';
import { readSmallText } from '../files/small-file.js';

/**
 * Reads a YAML (or JSON) recipe without checking it. With `extends: other.yaml` (relative to the recipe's own folder),
 * the result is the other recipe, overridden by this one key by key.
 * @throws InputError naming the file that does not exist, is not YAML, or extends itself
 */
export function readRecipeFile(path: string, extending: readonly string[] = []): unknown {
  const file = resolve(path);
  if (extending.includes(file)) throw new InputError(`${path} extends itself`);
  const input = parsed(path, extending.at(-1));
  if (!isObject(input) || input.extends === undefined) return input;
  const { extends: base, ...own } = input;
  if (typeof base !== 'string') throw new InputError(`${path}: extends must be the path of one recipe`);
  return merged(readRecipeFile(resolve(dirname(file), expandHome(base)), [...extending, file]), own);
}

function parsed(path: string, extendedBy: string | undefined): unknown {
  let text: string;
  try {
    text = readSmallText(path, MOST_BYTES);
  } catch (error) {
    const whose = extendedBy === undefined ? '' : `, which ${extendedBy} extends,`;
    if (!existsSync(path)) {
      throw new InputError(`the recipe ${path}${whose} does not exist`, {
        hint: 'a recipe is a YAML file, see docs/recipes.md and the examples in recipes/',
      });
    }
    throw new InputError(`the recipe ${path}${whose} cannot be read: ${errorText(error)}`, {
      hint: error instanceof InputError ? error.hint : undefined,
    });
  }
  try {
    return parsedYaml(text);
  } catch (error) {
    throw new InputError(
      `${path} is not valid YAML: ${errorText(error).split('\n', 1)[0].replace(/:$/, '')}`,
      {
        hint: 'docs/recipes.md describes the format of recipes',
      },
    );
  }
}

/** A long recipe has five thousand bytes. */
const MOST_BYTES = 2 ** 20;

const MOST_DEPTH = 200;

/** Whether a text is nested too deeply. The YAML library uses kilobytes per level. */
function isDeep(text: string): boolean {
  let depth = 0;
  for (const [character] of text.matchAll(/[[\]{}]/g)) {
    depth += character === '[' || character === '{' ? 1 : -1;
    if (depth > MOST_DEPTH) return true;
  }
  return text.includes('- '.repeat(MOST_DEPTH)) || text.includes('? '.repeat(MOST_DEPTH));
}

/** Finds duplicate keys itself, because the YAML library compares each key of a map with all previous keys. */
function parsedYaml(text: string): unknown {
  if (isDeep(text)) throw new Error(`it is nested deeper than ${MOST_DEPTH} levels`);
  const lines = new LineCounter();
  const document = parseDocument(text, { uniqueKeys: false, lineCounter: lines });
  const [error] = document.errors;
  if (error !== undefined) throw error;
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        const name = isScalar(key) ? key.value : key;
        if (seen.has(name)) {
          const place = isScalar(key) && key.range ? ` at line ${lines.linePos(key.range[0]).line}` : '';
          throw new Error(`Map keys must be unique: ${String(name)}${place}`);
        }
        seen.add(name);
      }
    },
  });
  return document.toJS();
}

function merged(base: unknown, own: unknown): unknown {
  if (!isObject(base) || !isObject(own)) return own;
  return Object.entries(own).reduce<Record<string, unknown>>(
    (result, [key, value]) => Object.assign(result, { [key]: merged(result[key], value) }),
    { ...base },
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Replaces values in a recipe that has not been checked yet.
 * @param settings each `key.path=value`, with the value as YAML
 * @throws InputError if a setting does not have this form
 */
export function withSettings(input: unknown, settings: readonly string[]): unknown {
  return settings.reduce((before, setting) => {
    const split = setting.indexOf('=');
    if (split < 1) throw new InputError(`--set ${setting}: expected key.path=value`);
    return replaced(before, setting.slice(0, split).split('.'), parsedValue(setting, split));
  }, input);
}

function parsedValue(setting: string, split: number): unknown {
  try {
    return parse(setting.slice(split + 1));
  } catch (error) {
    throw new InputError(
      `--set ${setting}: the value is not valid YAML: ${errorText(error).split('\n', 1)[0]}`,
    );
  }
}

function replaced(input: unknown, [key, ...rest]: string[], value: unknown): unknown {
  const object = typeof input === 'object' && input !== null ? (input as Record<string, unknown>) : {};
  return { ...object, [key]: rest.length === 0 ? value : replaced(object[key], rest, value) };
}
