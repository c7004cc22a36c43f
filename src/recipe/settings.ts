import { parse } from 'yaml';
import { errorText, InputError } from '../base/errors.js';

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
