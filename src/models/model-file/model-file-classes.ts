import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readSmallText } from '../../files/small-file.js';
import type { PickleKey, PickleValue } from '../../weights/torch-file/pickle-values.js';
import { CLASS_NAMES } from '../layout.js';

/** Class names of a model, from a file. */
export interface FileClasses {
  /** By label. */
  readonly names: readonly string[];
  /** Path of the file with the names. */
  readonly from: string;
  /** Whether `convert` wrote the list, from a run's class names. */
  readonly isOurs: boolean;
  /** How another list of the same file contradicts the names. */
  readonly conflict?: string | undefined;
}

/** The class names in a safetensors header. */
export function classesInHeader(
  path: string,
  metadata: Readonly<Record<string, string>>,
): FileClasses | undefined {
  const text = metadata[CLASS_NAMES];
  const names = text === undefined ? undefined : classNamesIn(parsed(text));
  return names && { names, from: path, isOurs: true };
}

/**
 * The class names in a folder's `config.json`: Hugging Face's `id2label`, or timm's `label_names`, at the top level or in
 * `pretrained_cfg`. Undefined if it has none, or only Hugging Face's placeholders (`LABEL_0`).
 */
export function classesInConfig(folder: string): FileClasses | undefined {
  const path = join(folder, 'config.json');
  const config = configIn(folder);
  const names = classNamesIn(config);
  return names && { names, from: path, isOurs: false, conflict: conflictIn(names, config.label2id) };
}

/** A name that `label2id` gives another label than `id2label`, which transformers reads the outputs with. */
function conflictIn(names: readonly string[], label2id: unknown): string | undefined {
  const labels = Object.entries(Object(label2id));
  if (labels.every(([name]) => PLACEHOLDER.test(name))) return undefined;
  const other = labels.find(([name, label]) => names[Number(label)] !== name);
  return other && `label ${other[1]} is ${names[Number(other[1])]} by id2label, ${other[0]} by label2id`;
}

/** Whether the `config.json` next to a file describes it: `convert` records in it which of several files it describes. */
export function isConfigOf(path: string): boolean {
  const { weights_file: file } = configIn(dirname(path));
  return typeof file !== 'string' || file === basename(path);
}

function configIn(folder: string): Readonly<Record<string, unknown>> {
  const path = join(folder, 'config.json');
  return Object(existsSync(path) ? parsed(readSmallText(path)) : undefined);
}

/**
 * The class names in a JSON value: a list, an object from label to name, or an object that contains one of these under
 * one of the usual keys.
 */
export function classNamesIn(value: unknown): readonly string[] | undefined {
  const names = namesOf(value) ?? firstOf(Object(value)) ?? firstOf(Object(Object(value).pretrained_cfg));
  return names?.every((name, label) => name === `LABEL_${label}`) ? undefined : names;
}

/** The class names in a dictionary that `torch.save` wrote, under this program's key or those of other training programs. */
export function classesInTorch(
  path: string,
  root: ReadonlyMap<PickleKey, PickleValue>,
): FileClasses | undefined {
  const names = classNamesIn(plain(root));
  return names && { names, from: path, isOurs: root.has(CLASS_NAMES) };
}

const PLACEHOLDER = /^LABEL_\d+$/;

const BY_LABEL = [CLASS_NAMES, 'label_names', 'id2label', 'idx_to_class', 'classes', 'labels'];
const BY_NAME = ['class_to_idx', 'label2id'];

function firstOf(holder: Readonly<Record<string, unknown>>): readonly string[] | undefined {
  for (const key of BY_LABEL) {
    const names = Object.hasOwn(holder, key) ? namesOf(holder[key]) : undefined;
    if (names !== undefined) return names;
  }
  for (const key of BY_NAME) {
    const labels = Object.hasOwn(holder, key) ? Object.entries(Object(holder[key])) : [];
    const names = namesOf(Object.fromEntries(labels.map(([name, label]) => [String(label), name])));
    if (names !== undefined && names.length === labels.length) return names;
  }
  return undefined;
}

/** Labels without a name, which timm allows, get their number as name. */
function namesOf(value: unknown): readonly string[] | undefined {
  if (Array.isArray(value)) return value.length > 0 && value.every(isText) ? value : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  const entries = Object.entries(value);
  if (entries.length === 0 || !entries.every(([label, name]) => /^\d{1,6}$/.test(label) && isText(name))) {
    return undefined;
  }
  const names: string[] = [];
  for (const [label, name] of entries) names[Number(label)] = String(name);
  return Array.from(names, (name, label) => name ?? String(label));
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Code that needs more from the file reports the error.
    return undefined;
  }
}

/** The lists and dictionaries under the usual keys for class names, as plain objects. */
function plain(root: ReadonlyMap<PickleKey, PickleValue>): Record<string, unknown> {
  const wanted = [...BY_LABEL, ...BY_NAME].flatMap((key) => {
    const value = root.get(key);
    if (value instanceof Map) return [[key, Object.fromEntries(value)] as const];
    return Array.isArray(value) ? [[key, value] as const] : [];
  });
  return Object.fromEntries(wanted);
}
