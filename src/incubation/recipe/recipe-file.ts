import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { errorText, InputError } from '../../base/errors.js';
import { expandHome } from '../../base/home.js';

/**
 * What a YAML (or JSON) recipe says, not yet checked. With `extends: other.yaml`, a path from its own folder, it
 * is the other recipe with what this one says instead, key by key.
 * @throws InputError naming the file that is missing, no YAML, or extends itself
 */
export function readRecipeFile(path: string, extending: readonly string[] = []): unknown {
  const file = resolve(path);
  if (extending.includes(file)) throw new InputError(`${path} extends itself`);
  const input = parsed(path, extending.at(-1));
  if (!isObject(input) || input.extends === undefined) return input;
  const { extends: base, ...own } = input;
  if (typeof base !== 'string') throw new InputError(`${path}: extends takes the path of one recipe`);
  return merged(readRecipeFile(resolve(dirname(file), expandHome(base)), [...extending, file]), own);
}

function parsed(path: string, extendedBy: string | undefined): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const whose = extendedBy === undefined ? '' : `, which ${extendedBy} extends,`;
    if (!existsSync(path)) {
      throw new InputError(`the recipe ${path}${whose} does not exist`, {
        hint: 'a recipe is a YAML file: docs/recipes.md, and recipes/ has some',
      });
    }
    throw new InputError(`the recipe ${path}${whose} cannot be read: ${errorText(error)}`);
  }
  try {
    return parse(text);
  } catch (error) {
    throw new InputError(`${path} is not YAML: ${errorText(error).split('\n', 1)[0].replace(/:$/, '')}`, {
      hint: 'docs/recipes.md shows how a recipe is written',
    });
  }
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
