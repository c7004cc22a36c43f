import { join } from 'node:path';
import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { SPLIT_CHOICES } from '../../data/splits.js';
import type { Recipe } from '../../recipe/recipe-schema.js';

// Texts and parsers that several commands share.

export const CHECKPOINT =
  'run, phase of a run (RUN/FT), RUN/FT/best, checkpoint folder, .safetensors, .pth or .bin, Hugging Face folder, hf:owner/repo[/file]';
export const CLASSES =
  "the model's class names in label order: a text or JSON file, a run, or the images it was trained on; number: folders are named by label";
export const SET = 'override a setting of the recipe; repeatable; values are YAML';
/** Like `SET`, for a command that reads the model and the pixels of a checkpoint. */
export const SET_OF_MODEL = `${SET}; keys under model, data.mean, data.std, data.eval_crop, data.exif, data.grey16, run`;

/** The part of a data set that a command reads. */
export const EVAL_SPLIT = new Option(
  '--split <part>',
  'split of the data set; all: every folder is a class, whatever its name; held-out: the training images that data.split held out (default: val)',
).choices([...SPLIT_CHOICES, 'held-out'] as const);
export const ACCEPT_DATA_CHANGE =
  'continue although the images are not those that the run was trained on; the difference is recorded';

/** Selects the averaged or plain weights of a file that contains both. */
export function weightsOption() {
  return new Option(
    '--weights <kind>',
    'which weights to use of a file with averaged and plain weights: ema or raw (default: ema)',
  ).choices(['ema', 'raw'] as const);
}

/** Examples for a help text. They use npx because the program is not on the PATH in a clone. */
export function examples(...given: readonly (readonly [command: string, what: string])[]): string {
  const lines = given.map(
    ([command, what]) => [command.replace(/(?<=^| )deep-incubation /, 'npx deep-incubation '), what] as const,
  );
  const width = Math.max(...lines.map(([command]) => command.length));
  const shown = lines.map(([command, what]) => `  ${command.padEnd(width)}  # ${what}`);
  return `\nExample${lines.length > 1 ? 's' : ''}:\n${shown.join('\n')}`;
}

export function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

export function list(value: string): string[] {
  return value.split(',').map((part) => part.trim());
}

export function positiveInteger(value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number > 0 && Number.isSafeInteger(number)) return number;
  throw new InvalidArgumentError('Expected a whole number above 0.');
}

/** Limited per process: a system that runs out of threads fails with misleading errors. */
export function threadCount(value: string): number {
  const number = positiveInteger(value);
  if (number <= 1024) return number;
  throw new InvalidArgumentError('Expected a whole number from 1 to 1024.');
}

export function positiveIntegers(value: string): number[] {
  return list(value).map(positiveInteger);
}

export function positiveNumber(value: string): number {
  const number = Number(value);
  if (value.trim() !== '' && number > 0 && Number.isFinite(number)) return number;
  throw new InvalidArgumentError('Expected a number above 0.');
}

export function share(value: string): number {
  const number = Number(value);
  if (value.trim() !== '' && number >= 0 && number <= 1) return number;
  throw new InvalidArgumentError('Expected a number from 0 to 1.');
}

/** The default folder of a recipe's run: its name, converted to a valid folder name. */
export function defaultFolder({ name }: Recipe): string {
  return join('runs', name.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^\.+/, '') || 'run');
}
